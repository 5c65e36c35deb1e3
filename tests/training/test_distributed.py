"""Several workers: they agree with each other, and their number changes neither the batches nor the evaluation."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ranks import Ranks
from tiny import CPU, TINY, assert_same_weights, plain_network, tiny, train
from torchmetrics.functional.classification import multiclass_accuracy

from cifarray import models
from cifarray.config import TrainConfig
from cifarray.data import open_store
from cifarray.training import Classifier, Diverged, Training
from cifarray.training.evaluate import evaluate


def train_on(rank: int, world_size: int, config: TrainConfig, checkpoint: Any = None) -> list[dict[str, Any]]:
    models.FAMILIES["plain"] = plain_network
    return train(config, rank, world_size, checkpoint)


def test_all_ranks_have_the_same_weights_and_metrics(two_ranks: Ranks) -> None:
    first, second = two_ranks(train_on, tiny(model__dropout=0.3))
    for epoch in range(2):
        assert_same_weights(first[epoch], second[epoch])
        assert first[epoch]["metrics"] == second[epoch]["metrics"]


def test_two_workers_train_as_one_does(two_ranks: Ranks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch normalisation aside, which sees each worker's part of a batch alone, the sums differ in rounding only."""
    monkeypatch.setitem(models.FAMILIES, "plain", plain_network)
    config = TrainConfig.from_dict(TINY.to_dict() | {"model": {"name": "plain"}, "precision": "fp32"})
    alone, together = train(config)[-1], two_ranks(train_on, config)[0][-1]
    for name, value in alone["model"].items():
        torch.testing.assert_close(together["model"][name], value, rtol=1e-4, atol=1e-6)
    for name in ("train_loss", "val_loss"):
        assert together["metrics"][name] == pytest.approx(alone["metrics"][name], rel=1e-5)
    assert together["metrics"]["train_accuracy"] == pytest.approx(alone["metrics"]["train_accuracy"], abs=1.5 / 256)


def test_resumed_run_of_two_workers_equals_undisturbed_run(two_ranks: Ranks) -> None:
    config = tiny(model__dropout=0.3, schedule__warmup=0.2)
    first, last = two_ranks(train_on, config)[0]
    assert_same_weights(two_ranks(train_on, config, first)[0][0], last)


@pytest.mark.slow
def test_resumed_run_of_three_workers_equals_undisturbed_run(tmp_path: Path, cifarray_home: Path) -> None:
    """From three on the order of a sum matters, and with it how DDP groups the gradients."""
    config = tiny(model__dropout=0.3, model__widen_factor=4, batch_size=48)
    with Ranks(3, tmp_path) as three_ranks:
        first, last = three_ranks(train_on, config)[0]
        assert_same_weights(three_ranks(train_on, config, first)[0][0], last)


def diverge_on(rank: int, world_size: int) -> tuple[str, int, bool]:
    training = Training(tiny(optimizer__lr=1e9), CPU, rank, world_size)
    try:
        for _ in range(2):
            training.run_epoch()
    except Diverged as error:
        return str(error), training.epoch, training.in_backward
    return "it did not diverge", training.epoch, training.in_backward


def test_all_ranks_diverge_in_the_same_step(two_ranks: Ranks) -> None:
    first, second = two_ranks(diverge_on)
    assert first == second
    assert "loss is nan in epoch" in first[0]


def evaluate_on(rank: int, world_size: int, count: int) -> dict[str, float]:
    classifier, store = trained_nothing()
    return evaluate(classifier, store.images, store.labels, torch.arange(count), rank, world_size)


def trained_nothing() -> tuple[Classifier, Any]:
    training = Training(tiny(precision="fp32"), CPU)
    return training.classifier, open_store(TINY.data.source, "train", TINY.data.image_size)


@pytest.mark.parametrize("count", [1, 31, 300])
def test_every_image_is_evaluated_once_whatever_the_number_of_ranks(two_ranks: Ranks, count: int) -> None:
    """With one image a rank has none."""
    classifier, store = trained_nothing()
    with torch.inference_mode():
        logits = classifier.eval()(store.images[:count]).double()
    labels = store.labels[:count]
    expected = float(multiclass_accuracy(logits, labels, num_classes=10, average="micro"))
    results = two_ranks(evaluate_on, count)
    assert results[0] == results[1]
    for metrics in (results[0], evaluate_on(0, 1, count)):
        loss, accuracy = metrics["loss"], metrics["accuracy"]
        assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
        assert accuracy == pytest.approx(expected, abs=1e-6)


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 32 is not divisible by 3 workers"):
        Training(TINY, CPU, rank=0, world_size=3)
