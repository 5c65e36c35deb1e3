"""Which number format forward and backward run in. Weights, optimizer and loss are always float32.

Not here: the gradient scaling that fp16 needs (the loop holds torch's GradScaler).
"""

from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve(precision: Precision, device: torch.device) -> Literal["fp32", "bf16", "fp16"]:
    """`auto` is bf16 where the hardware computes in it, else fp32: bf16 has float32's range and needs no scaling."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    return "fp32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context that a forward pass runs in; for fp32 it changes nothing."""
    resolved = resolve(precision, device)
    return torch.autocast(device.type, dtype=_DTYPES[resolved], enabled=resolved != "fp32")
