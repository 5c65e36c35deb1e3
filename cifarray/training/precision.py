"""Which number format forward and backward run in. Weights, optimizer and loss are always float32.

Not here: the gradient scaling that fp16 needs (the loop holds torch's GradScaler).
"""

from typing import Literal

import torch
import torch.distributed as dist

from cifarray.training.parallel import reduced

Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
Resolved = Literal["fp32", "tf32", "bf16", "fp16"]

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_AUTO: tuple[Resolved, ...] = ("fp32", "bf16")
"""What `auto` chooses from; what every device has comes first."""


def resolve(precision: Precision, device: torch.device) -> Resolved:
    """`auto` is bf16 where the hardware computes in it, else fp32: bf16 has float32's range and needs no scaling."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.type == "cpu":
        return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    return "fp32"


def agreed(
    precision: Precision, device: torch.device, world_size: int, began_in: Resolved | None
) -> tuple[Resolved, str]:
    """The format of one trial on all its ranks, and what the user should know of it, mostly nothing.

    began_in: the one that its checkpoint was trained in, which stays: any device computes in it, if slowly, and a
    trial that goes on elsewhere is then still the same. Else `auto` is what all ranks have. Collective.
    """
    resolved = resolve(precision, device)
    if precision != "auto":
        return resolved, ""
    if world_size > 1:
        least = reduced(torch.tensor([_AUTO.index(resolved)]), device, world_size, dist.ReduceOp.MIN)
        resolved = _AUTO[int(least[0])]
    if began_in is None or began_in == resolved:
        return resolved, ""
    return began_in, (
        f"precision auto was {began_in} where this trial began and would be {resolved} here: it goes on in {began_in}, "
        f"so that its figures mean the same; set precision to {resolved} for studies that are to run here"
    )


def check_device(precision: Precision, device: torch.device) -> None:
    """Raises ValueError for a format that is of other devices."""
    if precision != "tf32" or has_tf32(device):
        return
    if device.type != "cuda":
        raise ValueError(f"precision tf32 is of NVIDIA's GPUs, and this worker trains on {device.type}: choose fp32")
    major, minor = torch.cuda.get_device_capability(device)
    raise ValueError(
        f"precision tf32 is of GPUs from compute capability 8.0 on, and this one has {major}.{minor}: choose fp32"
    )


def has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def answers_in(trained: Resolved | None, precision: Precision, device: torch.device) -> tuple[Resolved, str]:
    """The format in which a network answers on a device that need not be the one it was trained on, and why that is not
    the one it was trained in, empty if it is.

    trained: as its checkpoint says; None where it does not. precision: as its config says.
    """
    if trained is None and precision == "auto":
        return resolve(precision, device), "its checkpoint does not say what it was trained in"
    trained = trained or resolve(precision, device)
    if trained == "tf32" and not has_tf32(device):
        return "fp32", "it was trained in tf32, which this device does not have"
    return trained, ""


def autocast(precision: Resolved, device: torch.device) -> torch.autocast:
    """The context that a forward pass runs in; its backward pass runs in the same format, outside.

    Of the whole process it sets whether float32 is rounded to TF32's 10 bits on the way into a GPU's matrix units
    (torch's own default, in convolutions): in tf32 alone. In fp32 everything is IEEE 754's.
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype = _DTYPES[precision]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
