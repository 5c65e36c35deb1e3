"""PyTorch's process group for Train's workers, set up by a controller that does not import torch.

What the workers do is Train's own. But its TorchConfig brings torch along, which a group's host needs for nothing else:
some seconds of its start and a few hundred megabytes for each group. Not here: what the workers do with the process
group (`cifarray.training`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

from cifarray.engine import ray_internals

SHUTDOWN_SECONDS = 30.0
"""How long the workers may take to leave the process group."""

log = logging.getLogger(__name__)


class ProcessGroupBackend(Backend):
    """Sets up NCCL between GPUs, gloo between CPUs."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: "ProcessGroupConfig") -> None:
        address, port = worker_group.execute_single(0, ray_internals.address_and_free_port)
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU") else "gloo"
        common = (address, port, backend, len(worker_group), backend_config.timeout, backend_config.environment)
        join = ray_internals.join_process_group
        ray.get([worker_group.execute_single_async(rank, join, rank, *common) for rank in range(len(worker_group))])

    def on_shutdown(self, worker_group: Any, backend_config: "ProcessGroupConfig") -> None:
        leaving = worker_group.execute_async(ray_internals.leave_process_group, len(worker_group) > 1)
        try:
            ray.get(leaving, timeout=SHUTDOWN_SECONDS)
        except ray.exceptions.GetTimeoutError:
            log.warning("the workers did not leave their process group within %.0f s", SHUTDOWN_SECONDS)


@dataclass
class ProcessGroupConfig(BackendConfig):
    """timeout: seconds that a collective may wait for a rank. environment: variables that a worker has when it joins,
    unless its node has set them."""

    timeout: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def backend_cls(self) -> type[Backend]:
        return ProcessGroupBackend

    @property
    def train_func_context(self) -> Any:
        return ray_internals.on_own_device
