"""Number formats on the device: fp32 is IEEE 754's, tf32 is not, bf16 learns as fp32 does."""

from statistics import mean

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny, train

from cifarray.training.precision import Resolved, autocast


def convolution_error(precision: Resolved, device: torch.device) -> float:
    """Of 256-fold sums, relative to float64's."""
    generator = torch.Generator().manual_seed(0)
    images, weight = (torch.randn(8, 256, 8, 8, generator=generator), torch.randn(64, 256, 3, 3, generator=generator))
    true = F.conv2d(images.double(), weight.double())
    with autocast(precision, device):
        found = F.conv2d(images.to(device), weight.to(device)).double().cpu()
    return ((found - true).norm() / true.norm()).item()


def test_fp32_is_exact_to_its_24_bits_after_tf32_was(device: torch.device) -> None:
    if device.type == "cuda":
        assert convolution_error("tf32", device) > 1e-5
    assert convolution_error("fp32", device) < 1e-6


def test_bf16_loss_is_that_of_fp32_within_2_percent_over_300_steps(device: torch.device) -> None:
    fields = {"data__source": "synthetic:2700", "batch_size": 64, "epochs": 8, "model__widen_factor": 2}
    losses = {}
    for precision in ("fp32", "bf16"):
        states = train(tiny(precision=precision, **fields), device=device)
        assert len(states) * (2430 // 64) >= 296
        losses[precision] = mean(state["metrics"]["train_loss"] for state in states)
    print(f"mean training loss: {losses}")
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
