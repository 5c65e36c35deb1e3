"""The moving average of the weights: the recurrence written out, what is evaluated with it and what is loaded."""

from pathlib import Path

import pytest
import torch
from tiny import CPU, tiny
from torch import Tensor

import cifarray
from cifarray.config import override
from cifarray.models import FAMILIES
from cifarray.training import Training, evaluate
from cifarray.training.checkpoint import save_checkpoint

DECAY = 0.8


def test_the_average_follows_its_recurrence_from_the_first_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """θ̄ₜ = d θ̄ₜ₋₁ + (1 − d) θₜ, statistics of batch normalisation included; θ̄₁ = θ₁."""
    training = Training(tiny(ema_decay=DECAY), CPU)
    assert training.average is not None
    seen: list[dict[str, Tensor]] = []
    update = training.average.update_parameters

    def remembered(network: torch.nn.Module) -> None:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        update(network)

    monkeypatch.setattr(training.average, "update_parameters", remembered)
    training.run_epoch()
    assert len(seen) == 8
    for name, value in training.state()["average"]["weights"].items():
        if not value.is_floating_point():
            continue
        expected = seen[0][name].double()
        for each in seen[1:]:
            expected = DECAY * expected + (1 - DECAY) * each[name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-6, msg=name)


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
    from test_families import config_of

    names = {"densenet": "densenet", "torchvision": "mobilenet"}
    config = override(config_of(names.get(family, family)), {"ema_decay": DECAY, "epochs": 1})
    assert Training(config, CPU).run_epoch()["epoch"] == 1
