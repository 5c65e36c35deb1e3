"""On the device: a training that goes on in another process is the undisturbed one, bit for bit, whatever is on."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from ranks import Ranks
from tiny import tiny, train
from trainings import FAMILIES, TOOLBOX, assert_same, family, with_tool

from cifarray.config import TrainConfig, override
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.loop import Training


def train_on(rank: int, world_size: int, config: TrainConfig, device: str, address: str) -> object:
    return train(config, rank, world_size, load_checkpoint(address), torch.device(device))[-1]


def assert_goes_on(config: TrainConfig, device: torch.device, elsewhere: Ranks, folder: Path) -> None:
    address = str(folder / "epoch.pt")
    undisturbed = train(config, device=device)
    save_checkpoint(address, undisturbed[len(undisturbed) // 2 - 1])
    (resumed,) = elsewhere(train_on, config, str(device), address)
    assert_same(resumed, undisturbed[-1])


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_in_every_precision(
    name: str, precision: str, device: torch.device, elsewhere: Ranks, tmp_path: Path
) -> None:
    if (device.type, name, precision) == ("cpu", "alexnet", "fp16"):
        pytest.skip("a CPU takes minutes for convolutions of 5 × 5 in fp16")
    assert_goes_on(override(family(name), {"precision": precision}), device, elsewhere, tmp_path)


@pytest.mark.parametrize("name", TOOLBOX)
def test_every_tool(name: str, teacher: str, device: torch.device, elsewhere: Ranks, tmp_path: Path) -> None:
    assert_goes_on(with_tool(name, teacher), device, elsewhere, tmp_path)


def test_what_is_written_while_training_goes_on(device: torch.device, elsewhere: Ranks, tmp_path: Path) -> None:
    """A thread saves each snapshot while the next epoch is trained, also where that captures a graph."""
    config = tiny(epochs=4, ema_decay=0.9)
    training, states, threads = Training(config, device), [], ThreadPoolExecutor(1)
    saving: Future[None] | None = None
    while training.epoch < config.epochs:
        training.run_epoch()
        if saving is not None:
            saving.result()
        states.append(training.state())
        snapshot = training.snapshot()
        assert_same(snapshot, states[-1])
        if device.type == "cuda":
            assert all(tensor.is_pinned() for tensor in snapshot["model"].values())
        saving = threads.submit(save_checkpoint, str(tmp_path / f"{training.epoch}.pt"), snapshot)
    assert saving is not None
    saving.result()
    for epoch, state in enumerate(states, start=1):
        assert_same(load_checkpoint(str(tmp_path / f"{epoch}.pt")) | {"study": None}, state | {"study": None})
    (resumed,) = elsewhere(train_on, config, str(device), str(tmp_path / "2.pt"))
    assert_same(resumed, states[-1])


def test_all_snapshots_are_made_in_the_same_memory(gpu: torch.device) -> None:
    training = Training(tiny(), gpu)
    training.run_epoch()
    first = [tensor.data_ptr() for tensor in training.snapshot()["model"].values()]
    training.run_epoch()
    assert [tensor.data_ptr() for tensor in training.snapshot()["model"].values()] == first


@pytest.mark.parametrize("values", [{"precision": "tf32"}, {"compile": True}, {"cuda_graph": "on", "ema_decay": 0.9}])
def test_what_only_a_gpu_has(values: dict[str, object], gpu: torch.device, elsewhere: Ranks, tmp_path: Path) -> None:
    assert_goes_on(override(tiny(epochs=4), values), gpu, elsewhere, tmp_path)


def test_grids(device: torch.device, elsewhere: Ranks, tmp_path: Path) -> None:
    assert_goes_on(tiny(data__grid=2), device, elsewhere, tmp_path)
