"""A few training steps of a space's smallest and largest network on one worker, before a study begins.

What a worker does with them is what it does in a trial: the same training, its share of a batch, forward and backward,
a checkpoint written to the storage and read again. Not here: what follows for the study (`cifarray.simulate.plan`).
"""

import contextlib
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine.orders import GroupSettings
from cifarray.space.rules import NETWORK
from cifarray.space.sizes import Sizes
from cifarray.study.faults import Fault
from cifarray.study.study import Study
from cifarray.training.batches import smaller_micro_batches

SECONDS, MOST_STEPS = 5.0, 60
"""Of training, for each network; the first half warms up and is not counted."""


@dataclass(frozen=True)
class Corner:
    """A network of the space, and what a worker makes of it.

    images_per_second: of one worker, in training. peak_bytes: of its GPU, or of its process where there is none.
    checkpoint_seconds: to write one and to read it. failure: why it cannot be trained there; then the rest is 0.
    """

    name: str
    num_params: int
    macs: int
    images_per_second: float = 0.0
    peak_bytes: int = 0
    checkpoint_seconds: float = 0.0
    failure: str = ""


class _EnoughError(Exception):
    """Of steps."""


def measure_corners(study: Study, sizes: Sizes, settings: GroupSettings) -> list[Corner]:
    """The smallest network within the limits and the largest, by multiply-adds; one where they are the same.

    Ray is connected. Waits until the cluster has room for one worker. Raises StudyError as `Sizes.of` does, and what a
    training raises that is no lack of memory.
    """
    import ray

    configs = [study.space.config(corner).to_dict() for corner in study.space.corners_of(NETWORK)]
    by_macs = sorted(
        (config for config in configs if study.space.allows(sizes.params_of(config), sizes.of(config).macs)),
        key=lambda config: sizes.of(config).macs,
    )
    smallest, largest = by_macs[0], by_macs[-1]
    chosen = [smallest] if sizes.of(smallest) == sizes.of(largest) else [smallest, largest]
    resources = {"num_cpus": settings.cpus_per_worker, "num_gpus": settings.gpus_per_worker}
    # A process for each, so that the memory is one network's.
    measuring = ray.remote(max_calls=1, max_retries=0, **resources)(_measured)
    found = []
    for config in chosen:
        size = sizes.of(config)
        address = storage.join(study.address, f"preflight-{uuid.uuid4().hex[:8]}.pt")
        config = {**config, "batch_size": config["batch_size"] // settings.workers}
        while True:
            told = ray.get(
                measuring.remote(config, settings.threads, settings.gpus_per_worker > 0, address, settings.requirements)
            )
            smaller = smaller_micro_batches(TrainConfig.from_dict(config), 1) if told.get("failure") else None
            if smaller is None:
                break
            config = {**config, "accumulate": smaller}  # as a trial goes on that may
        found.append(Corner(_name(config), size.num_params, size.macs, **told))
    return found


def _measured(config: Mapping[str, Any], threads: int, on_gpu: bool, address: str, requirements: Any) -> dict[str, Any]:
    """On a worker; fields of a Corner."""
    import torch

    from cifarray.engine.failures import failure_of
    from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
    from cifarray.training.loop import Training
    from cifarray.training.memory import peak_bytes

    os.environ.update(requirements.environment)
    torch.set_num_threads(threads)
    device = torch.device("cuda:0" if on_gpu else "cpu")
    moments: list[float] = []

    def on_step() -> None:
        if on_gpu:
            torch.cuda.synchronize(device)
        moments.append(time.perf_counter())
        # Steps of the evaluation are told too.
        enough = min(MOST_STEPS, training.steps_per_epoch)
        if len(moments) >= enough or (len(moments) >= 4 and moments[-1] - moments[0] > SECONDS):
            raise _EnoughError

    try:
        training = Training(TrainConfig.from_dict(config), device)
        began = time.perf_counter()
        with contextlib.suppress(_EnoughError):
            training.run_epoch(on_step)
        counted = [began, *moments][len(moments) // 2 :]
        rate = (len(counted) - 1) * config["batch_size"] / (counted[-1] - counted[0])
        peak, began = peak_bytes(device), time.perf_counter()
        try:
            save_checkpoint(address, training.state())
            load_checkpoint(address)
            seconds = time.perf_counter() - began
        finally:
            storage.delete(address)
    except Exception as error:
        failure = failure_of(error, None)
        if failure.fault is not Fault.OUT_OF_MEMORY:
            raise
        return {"failure": failure.message.partition(". ")[0]}
    return {"images_per_second": rate, "peak_bytes": peak, "checkpoint_seconds": seconds}


def _name(config: Mapping[str, Any]) -> str:
    """What the size of its network hangs on, as far as it is numbers."""
    model = config["model"]
    numbers = [f"{name} {value:g}" for name, value in model.items() if type(value) in (int, float) and value]
    return f"{model['name']} ({', '.join(numbers)})" if numbers else str(model["name"])
