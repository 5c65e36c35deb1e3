"""The Ray Train run behind a worker group: what its workers are, and what they run.

Not here: what the workers are told (`worker_group`), what they do with it (`worker`).
"""

import traceback
import uuid
from typing import Any

from cifarray.engine import ray_internals
from cifarray.engine.deaths import death_in_a_line
from cifarray.engine.orders import GroupSettings

COLLECTIVE_TIMEOUT_SECONDS = 600


def make_trainer(settings: GroupSettings, host: Any) -> Any:
    """A trainer whose `fit` lasts as long as its workers find orders with `host`, the group's actor.

    To be called in the host: it is Train's controller too.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback

    from cifarray.engine.process_group import ProcessGroupConfig

    class Herald(UserCallback):
        """Tells the host why workers are started again."""

        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            rank, error = min(worker_exceptions.items())
            host.workers_failed.remote(why_it_failed(rank, error))

    return ray_internals.trainer_in_this_process(settings.autoscaled)(
        _serve,
        train_loop_config={
            "host": host,
            "threads": settings.threads,
            "requirements": settings.requirements,
            "patience": settings.patience,
            "study": settings.study_id,
        },
        backend_config=ProcessGroupConfig(COLLECTIVE_TIMEOUT_SECONDS, settings.collectives),
        scaling_config=ScalingConfig(
            num_workers=settings.workers,
            use_gpu=settings.gpus_per_worker > 0,
            resources_per_worker=settings.resources_per_worker,
        ),
        run_config=RunConfig(
            # An existing name would restore that run.
            name=uuid.uuid4().hex,
            storage_path=settings.scratch,
            # A counter for the life of the run; trials count their restarts themselves.
            failure_config=FailureConfig(max_failures=-1),
            callbacks=[Herald()],
        ),
    )


def why_it_failed(rank: int, error: Exception) -> str:
    """What Train says of a worker; of one whose process is gone in one line, without what Ray knows of it besides."""
    return death_in_a_line(f"worker {rank}", str(error)) or f"worker {rank}: {type(error).__name__}: {error}"


def _serve(settings: dict[str, Any]) -> None:
    """What Train runs on every worker. The host handles it too, and needs none of what it brings."""
    import ray
    import ray.train

    if ray.train.get_context().get_world_rank() == 0:
        # Waited for: its end is `begin`, which must not come before it. What is imported now may hang.
        ray.get(settings["host"].arrive.remote(ray.get_runtime_context().get_actor_id()))
    try:
        from cifarray.engine.worker import serve
    except BaseException:
        # Told, and not raised: Train would start the workers again and again, and nobody would hear why.
        ray.get(settings["host"].broken.remote(traceback.format_exc()))
        return
    serve(settings)
