"""The Ray Train run behind a worker group: what its workers are, and what they run.

Not here: what the workers are told (`worker_group`), what they do with it (`worker`).
"""

import os
import traceback
import uuid
from typing import Any

from cifarray.engine.orders import GroupSettings

COLLECTIVE_TIMEOUT_SECONDS = 600


def make_trainer(settings: GroupSettings, host: Any) -> Any:
    """A TorchTrainer whose `fit` lasts as long as its workers find orders with `host`, the group's actor."""
    # Off by default: a collective of Train's own would wait forever for a worker that is gone.
    os.environ.setdefault("RAY_TRAIN_COLLECTIVE_TIMEOUT_S", str(COLLECTIVE_TIMEOUT_SECONDS))
    from ray.train import FailureConfig, RunConfig, ScalingConfig, UserCallback
    from ray.train.torch import TorchConfig, TorchTrainer

    class Herald(UserCallback):
        """Tells the host why workers are started again."""

        def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
            rank, error = min(worker_exceptions.items())
            host.workers_failed.remote(f"worker {rank}: {type(error).__name__}: {error}")

    return TorchTrainer(
        _serve,
        train_loop_config={
            "host": host,
            "threads": settings.threads,
            "requirements": settings.requirements,
            "patience": settings.patience,
            "study": settings.study_id,
        },
        torch_config=TorchConfig(timeout_s=COLLECTIVE_TIMEOUT_SECONDS),
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


def _serve(settings: dict[str, Any]) -> None:
    """What Train runs on every worker. Host and controller handle it too, and need none of what it brings."""
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
