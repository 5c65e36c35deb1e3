"""Several workers: they agree with each other, and their number changes neither the batches nor the evaluation."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from ranks import Ranks
from tiny import CPU, TINY, assert_same_weights, plain_network, tiny, train
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torchmetrics.functional.classification import multiclass_accuracy

from cifarray import models
from cifarray.config import TrainConfig, override
from cifarray.data import epoch_order, open_store
from cifarray.training.batches import batch_rows
from cifarray.training.classifier import Classifier
from cifarray.training.evaluate import evaluate
from cifarray.training.loop import Diverged, Training


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


TRICKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "mixed": {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1},
    "augmented": {"data.cutout": 6, "data.color_jitter": 0.4, "data.pca_noise": 0.1, "data.crop": "resized"},
    "policy": {"data.policy": "trivial_augment"},
    "accumulated": {"accumulate": 4, "mixup": 0.4, "clip_norm": 1.0, "ema_decay": 0.8},
}


@pytest.fixture(scope="module")
def three_ranks(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> Any:
    with Ranks(3, tmp_path_factory.mktemp("three")) as ranks:
        yield ranks


def batches_on(rank: int, world_size: int, config: TrainConfig) -> list[tuple[Tensor, Tensor]]:
    """This rank's part of each batch of the second epoch: images and targets."""
    training = Training(config, CPU, rank, world_size)
    order = epoch_order(training.train_rows, config.seed, 2)
    parts = []
    for step in range(training.steps_per_epoch):
        rows = batch_rows(order, step, config.batch_size)
        made = [training.task.batch(rows, share, 2) for share in training.shares]
        parts.append((torch.cat([images for images, _ in made]), torch.cat([targets for _, targets in made])))
    return parts


@pytest.mark.parametrize("name", TRICKS)
def test_the_number_of_workers_changes_no_image_of_a_global_batch(
    name: str, two_ranks: Ranks, three_ranks: Ranks
) -> None:
    config = override(TINY, {"batch_size": 24, **TRICKS[name]})
    alone = batches_on(0, 1, config)
    for ranks in (two_ranks, three_ranks):
        parts = ranks(batches_on, config)
        for step, (images, targets) in enumerate(alone):
            assert torch.cat([part[step][0] for part in parts]).equal(images)
            assert torch.cat([part[step][1] for part in parts]).equal(targets)


@pytest.mark.parametrize("name", TRICKS)
def test_without_batch_norm_the_number_of_workers_changes_only_the_rounding(
    name: str, two_ranks: Ranks, three_ranks: Ranks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.FAMILIES, "plain", plain_network)
    base = TrainConfig.from_dict(TINY.to_dict() | {"model": {"name": "plain"}, "precision": "fp32", "batch_size": 24})
    config = override(base, TRICKS[name])
    alone = train(config)
    for ranks in (two_ranks, three_ranks):
        together = ranks(train_on, config)[0]
        for one, other in zip(alone, together, strict=True):
            for loss in ("train_loss", "val_loss"):
                assert other["metrics"][loss] == pytest.approx(one["metrics"][loss], rel=1e-5)


def test_micro_batches_change_only_the_rounding_without_batch_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.FAMILIES, "plain", plain_network)
    base = TrainConfig.from_dict(TINY.to_dict() | {"model": {"name": "plain"}, "precision": "fp32"})
    whole, parts = train(base)[-1], train(override(base, {"accumulate": 8}))[-1]
    for name, value in whole["model"].items():
        torch.testing.assert_close(parts["model"][name], value, rtol=1e-4, atol=1e-6)
    assert parts["metrics"]["train_loss"] == pytest.approx(whole["metrics"]["train_loss"], rel=1e-5)
    assert parts["metrics"]["train_accuracy"] == pytest.approx(whole["metrics"]["train_accuracy"], abs=1.5 / 256)


def reductions_on(rank: int, world_size: int, config: TrainConfig) -> int:
    """How many all-reduces of gradients the first epoch has."""
    training = Training(config, CPU, rank, world_size)
    counted = []

    def count(state: object, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        counted.append(bucket.index())
        return default_hooks.allreduce_hook(dist.group.WORLD, bucket)

    training.module.register_comm_hook(None, count)
    training.run_epoch()
    return len(counted)


def test_micro_batches_cost_no_more_all_reduces(two_ranks: Ranks) -> None:
    whole, parts = (two_ranks(reductions_on, tiny(accumulate=count))[0] for count in (1, 4))
    assert whole == parts > 0


@pytest.mark.slow
def test_resumed_run_of_three_workers_equals_undisturbed_run(three_ranks: Ranks) -> None:
    """From three on the order of a sum matters, and with it how DDP groups the gradients."""
    config = tiny(model__dropout=0.3, model__widen_factor=4, batch_size=48)
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


def test_synchronised_batch_norm_is_refused_without_gpus() -> None:
    with pytest.raises(
        ValueError, match="sync_batch_norm works on GPUs only and this worker trains on cpu: set sync_b"
    ):
        Training(tiny(sync_batch_norm=True), CPU)
