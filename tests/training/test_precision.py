"""What `auto` stands for on which hardware."""

from typing import Any

import pytest
import torch
from ranks import Ranks
from tiny import CPU, tiny, train

from cifarray.training.loop import Training
from cifarray.training.precision import Precision, Resolved, answers_in, autocast, resolve


@pytest.mark.parametrize(("avx512_bf16", "amx", "expected"), [(0, 0, "fp32"), (1, 0, "bf16"), (0, 1, "bf16")])
def test_auto_is_bf16_on_cpus_that_compute_in_it(
    avx512_bf16: int, amx: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512_bf16))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    assert resolve("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize(("supported", "expected"), [(False, "fp32"), (True, "bf16")])
def test_auto_is_bf16_on_gpus_that_compute_in_it(
    supported: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert resolve("auto", torch.device("cuda")) == expected


def test_auto_is_fp32_on_any_other_device() -> None:
    assert resolve("auto", torch.device("mps")) == "fp32"


@pytest.mark.parametrize(
    ("trained", "precision", "expected", "why"),
    [
        ("bf16", "auto", "bf16", ""),
        ("fp16", "fp16", "fp16", ""),
        ("fp32", "auto", "fp32", ""),
        ("tf32", "tf32", "fp32", "it was trained in tf32, which this device does not have"),
        (None, "auto", "bf16", "its checkpoint does not say what it was trained in"),
        (None, "fp16", "fp16", ""),
        (None, "tf32", "fp32", "it was trained in tf32, which this device does not have"),
    ],
)
def test_a_network_answers_in_what_it_was_trained_in_where_that_can_be(
    trained: Resolved | None, precision: Precision, expected: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert answers_in(trained, precision, torch.device("cpu")) == (expected, why)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_matrix_product_is_computed_in_the_chosen_format(precision: Precision, dtype: torch.dtype) -> None:
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.nightly
@pytest.mark.slow
def test_bf16_trains_like_fp32() -> None:
    """Micikevicius et al. 2018 (arXiv:1710.03740): float32 master weights, low precision in forward and backward."""
    losses = {}
    for precision in ("fp32", "bf16"):
        config = tiny(
            data__source="synthetic:2000",
            data__validation=0,
            precision=precision,
            epochs=6,
            schedule__name="constant",
            optimizer__lr=0.05,
        )
        training = Training(config, CPU)
        seen: list[float] = []
        loss_of = training.task.loss

        def remembered(logits: torch.Tensor, targets: Any, loss_of: Any = loss_of, seen: Any = seen) -> torch.Tensor:
            loss = loss_of(logits, targets)
            seen.append(loss.item())
            return loss

        training.task.loss = remembered  # type: ignore[method-assign]
        while len(seen) < 300:
            training.run_epoch()
        losses[precision] = sum(seen[250:300]) / 50
    assert losses["fp32"] < 1.5  # of ln 10 = 2.3: something was learned
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def pretend_bf16(there: bool) -> None:
    torch.cpu._is_avx512_bf16_supported = lambda: there  # type: ignore[method-assign]
    torch.cpu._is_amx_tile_supported = lambda: False  # type: ignore[method-assign]


def precision_on(rank: int, world_size: int, has_bf16: tuple[bool, ...], precision: str) -> tuple[str, str]:
    before = torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported
    pretend_bf16(has_bf16[rank])
    try:
        training = Training(tiny(precision=precision), CPU, rank, world_size)
        return training.precision, training.state()["precision"]
    finally:
        torch.cpu._is_avx512_bf16_supported, torch.cpu._is_amx_tile_supported = before  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("has_bf16", "precision", "agreed"),
    [
        ((True, True), "auto", "bf16"),
        ((True, False), "auto", "fp32"),
        ((False, True), "auto", "fp32"),
        ((False, True), "bf16", "bf16"),  # who asks for it gets it
    ],
)
def test_the_ranks_of_a_trial_agree_on_what_all_of_them_have(
    two_ranks: Ranks, has_bf16: tuple[bool, bool], precision: str, agreed: str
) -> None:
    assert two_ranks(precision_on, has_bf16, precision) == [(agreed, agreed)] * 2


@pytest.mark.parametrize(("there", "here"), [("bf16", "fp32"), ("fp32", "bf16")])
def test_a_trial_that_goes_on_elsewhere_keeps_its_format_and_says_so(
    there: str, here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def machine(precision: str) -> None:
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: precision == "bf16")
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)

    machine(there)
    first = Training(tiny(), CPU)
    assert (first.precision, first.remark) == (there, "")
    first.run_epoch()
    checkpoint = first.state()
    machine(here)
    again = Training(tiny(), CPU, checkpoint=checkpoint)
    assert again.precision == there
    assert f"was {there} where this trial began and would be {here} here: it goes on in {there}" in again.remark
    second = again.run_epoch()
    machine(there)
    assert second["train_loss"] == train(tiny())[-1]["metrics"]["train_loss"]


def test_epochs_that_are_done_again_without_a_checkpoint_keep_their_format_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    training = Training(tiny(), CPU, began_in="bf16")
    assert training.precision == "bf16"
    assert "was bf16 where this trial began" in training.remark


def test_a_checkpoint_that_does_not_say_its_format_goes_on_as_the_machine_has_it() -> None:
    first = Training(tiny(), CPU)
    checkpoint = {**first.state(), "precision": None}
    assert Training(tiny(), CPU, checkpoint=checkpoint).remark == ""
