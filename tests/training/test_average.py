"""The moving average of the weights: the recurrence written out, what is evaluated with it and what is loaded."""

from pathlib import Path

import pytest
import torch
from tiny import CPU, tiny
from torch import Tensor
from trainings import family as family_of

import cifarray
from cifarray.config import override
from cifarray.models import FAMILIES
from cifarray.training.average import MovingAverage
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.evaluate import evaluate
from cifarray.training.loop import Training

DECAY = 0.8


def test_the_average_follows_its_recurrence_from_the_first_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """θ̄ₜ = d θ̄ₜ₋₁ + (1 − d) θₜ, statistics of batch normalisation included; θ̄₁ = θ₁."""
    training = Training(tiny(ema_decay=DECAY), CPU)
    assert training.average is not None
    seen: list[dict[str, Tensor]] = []
    update = training.average.update

    def remembered() -> None:
        seen.append({name: value.clone() for name, value in training.network.state_dict().items()})
        update()

    monkeypatch.setattr(training.average, "update", remembered)
    training.run_epoch()
    assert len(seen) == 8
    for name, value in training.state()["average"]["weights"].items():
        if not value.is_floating_point():
            assert value.equal(seen[-1][name])  # counters are not averaged
            continue
        expected = seen[0][name].double()
        for each in seen[1:]:
            expected = DECAY * expected + (1 - DECAY) * each[name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6, msg=name)


def test_the_average_is_that_of_torchs_averaged_model() -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    ours = MovingAverage(network, DECAY)
    theirs = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    for _ in range(5):
        network(torch.randn(8, 3, 6, 6))
        for parameter in network.parameters():
            parameter.data.add_(torch.randn_like(parameter))
        ours.update()
        theirs.update_parameters(network)
    weights = ours.state()["weights"]
    for name, value in theirs.module.state_dict().items():
        if value.is_floating_point():
            assert weights[name].equal(value), name


def test_the_average_changes_what_is_evaluated_and_not_what_is_trained() -> None:
    plain, averaged = Training(tiny(), CPU), Training(tiny(ema_decay=DECAY), CPU)
    without, with_average = plain.run_epoch(), averaged.run_epoch()
    assert without["train_loss"] == with_average["train_loss"]
    assert without["val_loss"] != with_average["val_loss"]
    for name, value in plain.state()["model"].items():
        assert value.equal(averaged.state()["model"][name])


def test_what_is_loaded_is_the_average(tmp_path: Path) -> None:
    training = Training(tiny(ema_decay=DECAY), CPU)
    metrics = training.run_epoch()
    address = str(tmp_path / "epoch-0001.pt")
    save_checkpoint(address, training.state())
    found = evaluate(cifarray.load(address), training.images, training.labels, training.val_rows)
    assert found["loss"] == metrics["val_loss"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_averaged(family: str) -> None:
    names = {"densenet": "densenet", "torchvision": "mobilenet"}
    config = override(family_of(names.get(family, family)), {"ema_decay": DECAY, "epochs": 1})
    assert Training(config, CPU).run_epoch()["epoch"] == 1
