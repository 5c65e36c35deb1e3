"""Several ranks: NCCL with a group of one, and two processes on one device by gloo."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from fresh_processes import fresh_processes
from ranks import Ranks
from tiny import assert_same_weights, tiny, train
from torch.nn.parallel import DistributedDataParallel
from trainings import family

from cifarray.config import TrainConfig, override
from cifarray.training.loop import Training


def train_by_nccl(config: TrainConfig, rendezvous: str) -> dict[str, Any]:
    device = torch.device("cuda", 0)
    dist.init_process_group("nccl", init_method=rendezvous, rank=0, world_size=1, device_id=device)
    training = Training(config, device)
    # A group of one is not wrapped by `Training`; what would be is.
    training.plain_step.module = DistributedDataParallel(
        training.network, device_ids=[device], broadcast_buffers=False, gradient_as_bucket_view=True
    )
    while training.epoch < config.epochs:
        training.run_epoch()
    state = training.state()
    dist.destroy_process_group()
    return state


@pytest.mark.parametrize("values", [{}, {"sync_batch_norm": True, "accumulate": 2}])
def test_ddp_by_nccl_is_the_training_without(values: dict[str, Any], gpu: torch.device, tmp_path: Path) -> None:
    config = override(tiny(cuda_graph="off"), values)
    with fresh_processes(1) as process:
        by_nccl = process.submit(train_by_nccl, config, f"file://{tmp_path / 'rendezvous'}").result(timeout=120)
    assert_same_weights(by_nccl, train(config, device=gpu)[-1])


def train_on(rank: int, world_size: int, config: TrainConfig, device: str) -> dict[str, Any]:
    return train(config, rank, world_size, device=torch.device(device))[-1]


@pytest.mark.parametrize("name", ["wide_resnet", "densenet", "stochastic_depth_resnet"])
def test_two_ranks_end_with_the_same_weights(name: str, device: torch.device, two_ranks: Ranks) -> None:
    first, second = two_ranks(train_on, family(name), str(device))
    assert_same_weights(first, second)
    assert first["metrics"] == second["metrics"]


def test_with_sync_batch_norm_two_ranks_learn_what_one_does(gpu: torch.device, two_ranks: Ranks) -> None:
    """Each sees the statistics of the whole batch; sums in another order differ in the last bits."""
    config = tiny(sync_batch_norm=True, precision="fp32", epochs=1, data__flip=False)
    both = two_ranks(train_on, config, str(gpu))[0]
    alone = train(config, device=gpu)[-1]
    different = {
        name: (both["model"][name] - tensor).abs().max().item()
        for name, tensor in alone["model"].items()
        if not torch.allclose(both["model"][name], tensor, rtol=1e-3, atol=1e-3)
    }
    assert different == {}
