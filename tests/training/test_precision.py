"""What `auto` stands for on which hardware."""

import pytest
import torch

from cifarray.training.precision import Precision, autocast, resolve


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
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_a_matrix_product_is_computed_in_the_chosen_format(precision: Precision, dtype: torch.dtype) -> None:
    with autocast(precision, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
