"""How many worker groups fit, per node and not on sums; what can never fit is refused with the remedy."""

import pytest

from cifarray.engine.capacity import (
    Cluster,
    Node,
    WorkerResources,
    default_cpus_per_worker,
    default_gpus_per_worker,
    groups_that_fit,
    groups_to_open,
    refuse_what_never_fits,
)
from cifarray.errors import StudyError


def fixed(*nodes):
    return Cluster(tuple(nodes))


def growing(*workers, most=(), max_workers=99):
    """A cluster with a head, some workers and an autoscaler."""
    head = Node(0)
    return Cluster((head, *workers), True, (head,), None if most is None else tuple(most), max_workers)


@pytest.mark.parametrize(
    ("nodes", "worker", "workers", "groups"),
    [
        ([Node(2)], WorkerResources(1), 2, 1),
        ([Node(2)], WorkerResources(1), 1, 2),
        ([Node(2)], WorkerResources(0.5), 2, 2),
        ([Node(3), Node(3)], WorkerResources(2), 1, 2),  # 6 CPUs in all, but one worker of 2 a node
        ([Node(8, 4), Node(8, 4)], WorkerResources(1, 1), 2, 4),
        ([Node(8, 4)], WorkerResources(1, 0.5), 1, 8),
        ([Node(2, 4)], WorkerResources(1, 1), 1, 2),  # CPUs are short
        ([Node(1, 1), Node(1, 1)], WorkerResources(1, 1), 2, 1),  # a group may span nodes
        ([], WorkerResources(1), 1, 0),
    ],
)
def test_groups_are_counted_per_node(nodes, worker, workers, groups):
    assert groups_that_fit(nodes, worker, workers) == groups


GPU_NODE = Node(8, 4)


@pytest.mark.parametrize(
    ("cluster", "groups"),
    [
        (fixed(GPU_NODE), 2),
        (growing(most=[GPU_NODE] * 3), 1),  # only the head lives: the first is the demand
        (growing(GPU_NODE, most=[GPU_NODE] * 3), 3),  # two fit, one waits
        (growing(GPU_NODE, GPU_NODE, GPU_NODE, most=[GPU_NODE] * 3), 6),  # all that there will ever be
        (growing(GPU_NODE, most=[GPU_NODE] * 3, max_workers=1), 2),  # the file's own limit over all types
        (growing(GPU_NODE, most=[GPU_NODE, Node(64)]), 2),  # what may yet come has no GPU
        (growing(GPU_NODE, most=[Node(2, 1)], max_workers=2), 2),  # another type could not hold one more
        (growing(GPU_NODE, most=None), 3),  # nobody tells the maximum
        (fixed(Node(8)), 1),  # nodes died: one waits for others
    ],
)
def test_one_group_more_than_fits_waits_as_demand_up_to_the_maximum(cluster, groups):
    assert groups_to_open(cluster, WorkerResources(1, 1), workers=2) == groups


def test_of_mixed_types_those_count_that_hold_most():
    """Two of these nodes may live at once: the two large ones, with four groups."""
    mixed = growing(Node(8, 4), most=[Node(8, 1), Node(8, 4), Node(8, 1), Node(8, 4)], max_workers=2)
    assert groups_to_open(mixed, WorkerResources(1, 1), workers=2) == 3
    assert mixed.at_most(WorkerResources(1, 1)) == (Node(0), Node(8, 4), Node(8, 4))


def test_a_worker_larger_than_the_largest_node_is_refused():
    with pytest.raises(
        StudyError, match=r"needs 4 CPUs and 0 GPUs and the largest node of the cluster has 2 CPUs .*--cpus-per-worker"
    ):
        refuse_what_never_fits(fixed(Node(2), Node(1)), WorkerResources(4), 1)


def test_more_workers_than_the_cluster_holds_are_refused():
    with pytest.raises(StudyError, match=r"needs 3 workers .* 2 fit on the cluster \(.* set --workers 2"):
        refuse_what_never_fits(fixed(Node(2)), WorkerResources(1), 3)


def test_a_cluster_that_can_grow_is_measured_by_its_cluster_file():
    two_more = growing(most=[GPU_NODE] * 2)
    refuse_what_never_fits(two_more, WorkerResources(1, 1), 8)
    with pytest.raises(StudyError, match=r"needs 9 workers .* 8 fit .* maximum of its cluster file .*--workers 8"):
        refuse_what_never_fits(two_more, WorkerResources(1, 1), 9)
    with pytest.raises(StudyError, match=r"needs 1 CPUs and 5 GPUs .* maximum of its cluster file has 8 CPUs and 4"):
        refuse_what_never_fits(two_more, WorkerResources(1, 5), 1)


def test_a_cluster_whose_maximum_nobody_knows_may_yet_hold_it():
    refuse_what_never_fits(growing(Node(2), most=None), WorkerResources(1, 1), 8)


def test_a_fraction_of_a_gpu_is_for_one_worker():
    refuse_what_never_fits(fixed(Node(8, 1)), WorkerResources(1, 0.5), 1)


def test_gpus_count_that_are_not_there_yet():
    assert default_gpus_per_worker(growing(most=[GPU_NODE])) == 1.0
    assert default_gpus_per_worker(fixed(GPU_NODE)) == 1.0
    assert default_gpus_per_worker(growing(most=[Node(8)])) == 0.0


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
    assert default_cpus_per_worker(fixed(*nodes), workers, trials, gpus) == cpus
    assert default_cpus_per_worker(growing(most=nodes), workers, trials, gpus) == cpus


def test_nodes_that_the_cluster_file_does_not_know_count_as_they_are():
    """Two machines were joined by hand to a cluster that may add one small node."""
    joined = Cluster((Node(0), Node(8, 1), Node(8, 1)), True, (Node(0),), (Node(2),), 3)
    refuse_what_never_fits(joined, WorkerResources(1, 1), workers=2)
    assert groups_to_open(joined, WorkerResources(1, 1), workers=2) == 1


def test_gpus_of_nodes_that_nobody_knows_have_to_be_said():
    with pytest.raises(StudyError, match="give --gpus-per-worker 1, or 0"):
        default_gpus_per_worker(growing(most=None))
    assert default_gpus_per_worker(growing(Node(8), most=None)) == 0
    assert default_gpus_per_worker(growing(Node(8, 1), most=None)) == 1
    assert default_gpus_per_worker(growing(most=[Node(8, 1)])) == 1
