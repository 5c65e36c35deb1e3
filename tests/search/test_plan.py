"""How many worker groups fit, per node and not on sums; what can never fit is refused with the remedy."""

import pytest

from cifarray.search.plan import (
    Node,
    StudyError,
    WorkerNeeds,
    default_cpus_per_worker,
    groups_that_fit,
    refuse_what_never_fits,
)


@pytest.mark.parametrize(
    ("nodes", "needs", "workers", "groups"),
    [
        ([Node(2)], WorkerNeeds(1), 2, 1),
        ([Node(2)], WorkerNeeds(1), 1, 2),
        ([Node(2)], WorkerNeeds(0.5), 2, 2),
        ([Node(3), Node(3)], WorkerNeeds(2), 1, 2),  # 6 CPUs in all, but one worker of 2 a node
        ([Node(8, 4), Node(8, 4)], WorkerNeeds(1, 1), 2, 4),
        ([Node(8, 4)], WorkerNeeds(1, 0.5), 1, 8),
        ([Node(2, 4)], WorkerNeeds(1, 1), 1, 2),  # CPUs are short
        ([Node(1, 1), Node(1, 1)], WorkerNeeds(1, 1), 2, 1),  # a group may span nodes
        ([], WorkerNeeds(1), 1, 0),
    ],
)
def test_groups_are_counted_per_node(nodes, needs, workers, groups):
    assert groups_that_fit(nodes, needs, workers) == groups


def test_a_worker_larger_than_the_largest_node_is_refused():
    with pytest.raises(
        StudyError, match=r"needs 4 CPUs and 0 GPUs and the largest node has 2 CPUs .*--cpus-per-worker"
    ):
        refuse_what_never_fits([Node(2), Node(1)], WorkerNeeds(4), 1, can_grow=False)


def test_more_workers_than_the_cluster_holds_are_refused():
    with pytest.raises(StudyError, match=r"needs 3 workers .* 2 fit .* set --workers 2"):
        refuse_what_never_fits([Node(2)], WorkerNeeds(1), 3, can_grow=False)


def test_a_cluster_that_can_grow_may_yet_hold_it():
    refuse_what_never_fits([Node(2)], WorkerNeeds(1, 1), 8, can_grow=True)


def test_a_fraction_of_a_gpu_is_for_one_worker():
    refuse_what_never_fits([Node(8, 1)], WorkerNeeds(1, 0.5), 1, can_grow=False)
    with pytest.raises(StudyError, match=r"NCCL .* set --workers 1"):
        refuse_what_never_fits([Node(8, 1)], WorkerNeeds(1, 0.5), 2, can_grow=True)


@pytest.mark.parametrize(
    ("nodes", "workers", "trials", "gpus", "cpus"),
    [
        ([Node(2)], 1, 16, 0.0, 1.0),  # many trials: one core each
        ([Node(2)], 1, 1, 0.0, 2.0),  # one trial: all cores
        ([Node(16)], 2, 2, 0.0, 4.0),
        ([Node(1)], 2, 4, 0.0, 1.0),
        ([Node(16, 4)], 1, 16, 1.0, 1.0),
    ],
)
def test_cores_are_shared_out_among_trials(nodes, workers, trials, gpus, cpus):
    assert default_cpus_per_worker(nodes, workers, trials, gpus) == cpus
