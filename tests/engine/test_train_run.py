"""What is said of workers whose processes are gone or not reached: Ray's own words, which this holds to what Ray makes
of them."""

import pytest

from cifarray.engine.deaths import death_in_a_line
from cifarray.engine.train_run import why_it_failed


@pytest.fixture
def died():
    """What Ray raises for an actor whose process, or node, is gone for a reason."""
    from ray.core.generated.common_pb2 import ActorDiedErrorContext
    from ray.exceptions import ActorDiedError

    def make(reason):
        told = {"class_name": "RayTrainWorker", "pid": 4711, "ray_namespace": "cifarray", "actor_id": b"\1" * 16}
        return ActorDiedError(ActorDiedErrorContext(error_message=reason, node_ip_address="192.0.2.2", **told))

    return make


@pytest.fixture
def health_check_failed(died):
    """What Train raises for a worker that is gone."""
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    return lambda reason: WorkerHealthCheckFailedError("A worker health check failed.\nWorker info: …", died(reason))


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (
            "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
            "Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) "
            "the process was killed by the OOM killer due to high memory usage, (2) ray stop --force was called, …",
            "worker 1 (process 4711 on 192.0.2.2) died: Worker unexpectedly exits with a connection error code 2. End "
            "of file; `dmesg` there tells whether its kernel ended it for want of memory",
        ),
        (
            "The actor is dead because its node has died. Node Id: 3df4\n\tthe actor's node was terminated "
            "unexpectedly: health check failed due to missing too many heartbeats",
            "worker 1 (process 4711 on 192.0.2.2) died: its node has died. Node Id: 3df4 the actor's node was "
            "terminated unexpectedly: health check failed due to missing too many heartbeats",
        ),
    ],
)
def test_a_worker_that_is_gone_is_told_in_one_line(health_check_failed, reason, line):
    assert why_it_failed(1, health_check_failed(reason)) == line


@pytest.fixture
def seen_by_train():
    """A worker as Train knows it, and writes it into its errors."""
    from ray.train.v2._internal.execution.context import DistributedContext
    from ray.train.v2._internal.execution.worker_group.worker import ActorMetadata, Worker

    ranks = DistributedContext(world_rank=1, world_size=2, local_rank=0, local_world_size=1, node_rank=1)
    return Worker(None, ActorMetadata("worker-2", "3df4", "192.0.2.2", 4711, {}), {}, ranks, "/tmp/worker.log")


def unreachable():
    """What Ray raises for an actor whose connection broke, before it knows more of it."""
    from ray.exceptions import ActorUnavailableError

    reason = "The actor is temporarily unavailable: RpcError: RPC error: recvmsg:Connection reset by peer rpc_code: 14"
    return ActorUnavailableError(reason, b"\2" * 16)


def test_a_worker_that_is_not_reached_is_told_in_one_line_with_its_place(seen_by_train):
    """As when its node's raylet is killed: `temporarily` would be no word for it, nor the actor's id a place."""
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    told = f"A worker health check failed.\nWorker info: {seen_by_train}"
    line = "worker 1 (process 4711 on 192.0.2.2) is not reached any more: RPC error: recvmsg:Connection reset by peer"
    assert why_it_failed(1, WorkerHealthCheckFailedError(told, unreachable())) == f"{line} rpc_code: 14"


def test_a_worker_that_does_not_answer_train_is_told_in_one_line(seen_by_train):
    from ray.train.v2._internal.exceptions import WorkerHealthCheckTimeoutError

    told = "A worker health check has been hanging for 600.12 seconds. Marking the worker as dead."
    line = "worker 1 (process 4711 on 192.0.2.2) has not answered for 600 s"
    assert why_it_failed(1, WorkerHealthCheckTimeoutError(f"{told}\nWorker info: {seen_by_train}")) == line


def test_a_host_that_is_not_reached_is_told_in_one_line():
    line = "the worker group's host is not reached any more: RPC error: recvmsg:Connection reset by peer rpc_code: 14"
    assert death_in_a_line("the worker group's host", str(unreachable())) == line


def test_what_a_worker_raised_is_told_as_it_is():
    assert why_it_failed(0, ValueError("no such class")) == "worker 0: ValueError: no such class"


def test_a_host_that_is_gone_is_told_in_one_line(died):
    text = str(died("The actor is dead because its worker process has died. Worker exit detail: end of file."))
    line = "the worker group's host (process 4711 on 192.0.2.2) died: end of file"
    assert death_in_a_line("the worker group's host", text) == line


def test_a_host_that_the_pool_ended_had_not_answered(died):
    text = str(died("The actor is dead because it was killed by `ray.kill`."))
    line = "the worker group's host (process 4711 on 192.0.2.2) did not answer and was ended"
    assert death_in_a_line("the worker group's host", text) == line


def test_a_host_that_could_not_be_made_is_no_death():
    assert death_in_a_line("the worker group's host", "Failed to look up actor with name 'wrn/group-0'.") is None
