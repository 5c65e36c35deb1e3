"""One trial in one process: what an epoch does and reports, and that a run can be repeated and resumed bit for bit."""

import gc
import io
import math
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fresh_processes import fresh_processes
from tiny import CPU, TINY, assert_same_weights, plain_network, tiny, train
from torch import Tensor

from cifarray import models
from cifarray.config import TrainConfig
from cifarray.data import Augmentation, DataError, epoch_order, open_store, split_indices
from cifarray.training.loop import Diverged, Training

METRICS = {
    "epoch",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "lr",
    "images_per_second",
    "epoch_seconds",
    "peak_memory_bytes",
}


def test_an_epoch_reports_every_metric_and_all_are_finite() -> None:
    training = Training(TINY, CPU)
    for epoch in (1, 2):
        metrics = training.run_epoch()
        assert metrics.keys() == METRICS
        assert all(math.isfinite(value) for value in metrics.values())
        assert metrics["epoch"] == training.epoch == epoch
        assert 0 <= metrics["train_accuracy"] <= 1
        assert 0 <= metrics["val_accuracy"] <= 1
        assert (metrics["val_accuracy"] * 30) == pytest.approx(round(metrics["val_accuracy"] * 30))  # 30 images
        assert (metrics["train_accuracy"] * 256) == int(metrics["train_accuracy"] * 256)  # 8 batches of 32
        assert 0 < 256 / metrics["images_per_second"] < metrics["epoch_seconds"]
        # torch itself takes more than 50 MB; a network this small does not take 100 GB.
        assert 50e6 < metrics["peak_memory_bytes"] < 100e9
    assert metrics["lr"] == pytest.approx(0.1 / 25 / 1e4)  # one_cycle's last rate


def test_without_a_validation_split_there_are_no_validation_metrics() -> None:
    metrics = Training(tiny(data__validation=0), CPU).run_epoch()
    assert metrics.keys() == METRICS - {"val_loss", "val_accuracy"}


def reference_weights(config: TrainConfig) -> dict[str, Tensor]:
    """One epoch of the plain loop that everyone writes: fp32, SGD, no schedule."""
    store = open_store(config.data.source, "train", config.data.image_size)
    rows, _ = split_indices(store.labels, config.data.validation, None)
    augment = Augmentation(config.data, store.mean, store.std, store.covariance)
    network = Training(config, CPU).network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    order = epoch_order(rows, config.seed, 1)
    for start in range(0, len(order) - config.batch_size + 1, config.batch_size):
        batch = order[start : start + config.batch_size]
        images = augment(store.images[batch], batch, seed=config.seed, epoch=1)
        # The memory layout chooses the kernels, and their rounding grows from step to step.
        logits = network(images if config.channels_last else images.contiguous())
        loss = F.cross_entropy(logits, store.labels[batch], label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        if config.clip_norm:
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
    return network.state_dict()


@pytest.mark.parametrize("values", [{}, {"label_smoothing": 0.1, "clip_norm": 0.5}, {"channels_last": False}])
def test_an_epoch_is_that_of_a_plain_loop(values: dict[str, Any]) -> None:
    config = tiny(precision="fp32", schedule__name="constant", epochs=1, **values)
    trained = train(config)[0]["model"]
    for name, value in reference_weights(config).items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_fp16_gradients_are_clipped_at_their_true_size(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scaled up against underflow, they would all be clipped and none would be left."""
    training = Training(tiny(precision="fp16", clip_norm=0.5, optimizer__name=optimizer, optimizer__lr=1e-3), CPU)
    norms, clipped = [], torch.nn.utils.clip_grad_norm_

    def remembered(parameters: Any, norm: float) -> Tensor:
        held = list(parameters)
        total = clipped(held, norm)
        left = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in held if p.grad is not None]))
        norms.append((total.item(), left.item()))
        return total

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", remembered)
    training.run_epoch()
    finite = [(total, left) for total, left in norms if math.isfinite(total)]
    assert len(finite) > 3
    assert all(0.1 < total < 100 for total, _ in finite)  # the loss is about 2.3; scaled by 65,536 it is 100,000
    assert all(left <= 0.501 for _, left in finite)


@pytest.mark.parametrize("values", [{}, {"optimizer__name": "adamw", "optimizer__lr": 1e-3, "schedule__warmup": 0.3}])
@pytest.mark.parametrize("precision", ["auto", "fp32", pytest.param("fp16", marks=pytest.mark.nightly)])
def test_resumed_run_equals_undisturbed_run(precision: str, values: dict[str, Any]) -> None:
    config = tiny(model__dropout=0.3, precision=precision, **values)
    first, last = train(config)
    stored = io.BytesIO()
    torch.save(first, stored)
    stored.seek(0)
    (resumed,) = train(config, checkpoint=torch.load(stored, weights_only=True))
    assert_same_weights(resumed, last)
    assert resumed["metrics"]["val_loss"] == last["metrics"]["val_loss"]


def test_restoring_leaves_the_callers_checkpoint_alone() -> None:
    first, _ = train(TINY)
    assert_same_weights(train(TINY, checkpoint=first)[0], train(TINY, checkpoint=first)[0])


def test_another_seed_gives_another_run_and_the_same_seed_the_same() -> None:
    run = train(TINY)[-1]
    assert_same_weights(run, train(TINY)[-1])
    other = train(tiny(seed=1))[-1]
    assert not run["model"]["stem.weight"].equal(other["model"]["stem.weight"])


def final_state_in_this_process(config: TrainConfig) -> dict[str, Any]:
    torch.set_num_threads(1)
    return train(config)[-1]


@pytest.mark.slow
def test_the_tenth_trial_of_a_process_equals_the_same_trial_alone() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for trial in range(9):
        others = tiny(
            seed=trial,
            model__widen_factor=1 + trial % 2,
            deterministic=trial % 2 == 0,
            optimizer__name=("sgd", "adamw")[trial % 2],
            precision=("auto", "fp32", "fp16")[trial % 3],
            epochs=1,
        )
        if trial == 5:
            with pytest.raises(Diverged):
                train(tiny(optimizer__lr=1e9, epochs=50))
        train(others)
    config = tiny(model__dropout=0.3)
    tenth = train(config)[-1]
    torch.set_num_threads(threads)
    with fresh_processes(1) as fresh:
        alone = fresh.submit(final_state_in_this_process, config).result(timeout=120)
    assert_same_weights(tenth, alone)


@pytest.mark.nightly
@pytest.mark.slow
def test_memory_is_flat_over_a_hundred_trials() -> None:
    config = tiny(epochs=1)
    peaks = []
    for _ in range(100):
        training = Training(config, CPU)
        peaks.append(training.run_epoch()["peak_memory_bytes"])
        training.close()
    assert max(peaks[90:]) - max(peaks[10:20]) < 20e6


def test_a_closed_trial_holds_nothing_even_before_garbage_is_collected() -> None:
    training = Training(TINY, CPU)
    training.run_epoch()
    held = [weakref.ref(item) for item in (training.network, training.optimizer, training.network.stem.weight)]
    gc.disable()
    training.close()
    left = [reference() for reference in held]
    gc.enable()
    assert left == [None, None, None]


def test_the_switches_of_the_process_are_those_of_the_present_trial() -> None:
    for deterministic in (True, False, True):
        training = Training(tiny(deterministic=deterministic), CPU)
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert torch.backends.cudnn.benchmark != deterministic
        training.close()


def test_a_learning_rate_that_explodes_ends_as_diverged() -> None:
    training = Training(tiny(optimizer__lr=1e9), CPU)
    with pytest.raises(Diverged, match=r"loss is \S+ in epoch \d, step 8: lower optimizer.lr"):
        [training.run_epoch() for _ in range(2)]
    assert not training.in_backward


def test_a_loss_that_is_not_finite_ends_a_long_epoch_after_at_most_50_steps() -> None:
    training = Training(tiny(data__source="synthetic:2000", batch_size=16, optimizer__lr=1e30), CPU)
    with pytest.raises(Diverged, match=r"the training loss is \S+ in epoch 1, step 50"):
        training.run_epoch()


def test_the_caller_can_tell_where_an_exception_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **keywords: object) -> None:
        raise torch.OutOfMemoryError

    training = Training(TINY, CPU)
    monkeypatch.setattr(training.optimizer, "step", fail)
    with pytest.raises(torch.OutOfMemoryError):
        training.run_epoch()
    assert (training.step, training.in_backward) == (0, True)

    training = Training(TINY, CPU)
    monkeypatch.setattr(training.task, "batch", fail)
    with pytest.raises(torch.OutOfMemoryError):
        training.run_epoch()
    assert (training.step, training.in_backward) == (0, False)


def plain_types(value: Any) -> bool:
    if isinstance(value, dict):
        return all(plain_types(key) and plain_types(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain_types(item) for item in value)
    return value is None or isinstance(value, (Tensor, str, int, float, bool))


@pytest.mark.parametrize("schedule", ["constant", "multistep", "cosine", "one_cycle"])
def test_the_state_is_plain_types_and_tensors_and_no_view_of_the_training(schedule: str) -> None:
    training = Training(tiny(schedule__name=schedule, schedule__warmup=0.2), CPU)
    training.run_epoch()
    state = training.state()
    assert state.keys() == {
        *("model", "optimizer", "scheduler", "scaler", "average"),
        *("epoch", "precision", "config", "metrics", "data"),
    }
    assert plain_types(state)
    assert TrainConfig.from_dict(state["config"]) == training.config
    assert state["data"].keys() == {"classes", "mean", "std", "image_size"}
    before = state["model"]["stem.weight"].clone()
    training.run_epoch()
    assert state["model"]["stem.weight"].equal(before)


def test_a_network_that_is_not_a_wide_resnet_trains_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.FAMILIES, "plain", plain_network)
    config = TrainConfig.from_dict(TINY.to_dict() | {"model": {"name": "plain"}})
    assert train(config)[-1]["epoch"] == 2


@pytest.mark.slow
def test_a_compiled_network_trains_and_is_saved_under_the_plain_names() -> None:
    (compiled,) = train(tiny(compile=True, epochs=1, precision="fp32"))
    (plain,) = train(tiny(epochs=1, precision="fp32"))
    assert compiled["model"].keys() == plain["model"].keys()
    assert compiled["metrics"]["train_loss"] == pytest.approx(plain["metrics"]["train_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 512}, "batch_size 512 is more than the 270 training images"),
        ({"model__depth": 27}, "model.depth 27"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_a_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(tiny(**values), CPU)


def test_data_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError):
        Training(tiny(data__source="/no/such/folder"), CPU)


def test_the_peak_of_memory_is_seen_and_then_forgotten() -> None:
    """In a process of its own: what other tests left in this one may be given back at any moment."""
    script = """
import torch
from cifarray.training.memory import peak_bytes, reset_peak
device = torch.device("cpu")
reset_peak(device)
before = peak_bytes(device)
block = torch.ones(100_000_000, dtype=torch.uint8)
print(peak_bytes(device) - before)
del block
reset_peak(device)
print(peak_bytes(device) - before)
"""
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    seen, forgotten = map(int, printed.split())
    assert seen > 90e6
    assert forgotten < 50e6
