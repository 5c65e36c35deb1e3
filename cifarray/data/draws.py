"""Random numbers without state: each is a hash of (purpose, seed, epoch, row, column).

So a draw is the same in every batch, order, process and device, and a resumed run needs no replay. Drawn in integers,
because floating point rounds differently on different devices.
Not here: what the numbers decide (`augment`, `splits`, `synthetic`).
"""

import hashlib

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", §4), as signed 64-bit numbers.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


def draw(purpose: str, seed: int, epoch: int, rows: Tensor, columns: int) -> Tensor:
    """Uniform integers in [0, 2**32), shape (len(rows), columns) int64 on the device of `rows` (N,) int64.

    Different purposes are independent of each other. A column does not depend on how many columns are drawn.
    """
    key = hashlib.blake2b(f"{purpose} {seed} {epoch}".encode(), digest_size=8).digest()
    start = _mix(rows * _GOLDEN + int.from_bytes(key, "little", signed=True))
    steps = torch.arange(1, columns + 1, device=rows.device) * _GOLDEN
    return _shift(_mix(start[:, None] + steps), 32)


def below(draws: Tensor, high: int | Tensor) -> Tensor:
    """Draws scaled to uniform integers in [0, high)."""
    return (draws * high) >> 32


def uniform(draws: Tensor, low: float, high: float) -> Tensor:
    """Draws scaled to numbers between `low` and `high`, neither of which is among them unless they are equal, float64.

    Each step is rounded as IEEE 754 demands, so that devices agree.
    """
    return (draws.double() + 0.5) / 2**32 * (high - low) + low


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MULTIPLIERS[0]
    x = (x ^ _shift(x, 27)) * _MULTIPLIERS[1]
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift: torch has only the arithmetic one for int64."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
