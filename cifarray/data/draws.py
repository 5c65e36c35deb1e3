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

_MOST_ROWS = 2_000_000
"""Of a table of draws: 80 MB for the five columns of a crop, a flip and a blank square."""


def draw(purpose: str, seed: int, epoch: int, rows: Tensor, columns: int) -> Tensor:
    """Uniform integers in [0, 2**32), shape (len(rows), columns) int64 on the device of `rows` (N,) int64.

    Different purposes are independent of each other. A column does not depend on how many columns are drawn.
    """
    key = hashlib.blake2b(f"{purpose} {seed} {epoch}".encode(), digest_size=8).digest()
    start = _mix(rows * _GOLDEN + int.from_bytes(key, "little", signed=True))
    steps = torch.arange(1, columns + 1, device=rows.device) * _GOLDEN
    return _shift(_mix(start[:, None] + steps), 32)


def rows_at_once(num_rows: int, device: torch.device) -> int | None:
    """How many rows to draw at once: on a GPU all, since there each of the many small steps of a draw costs as much for
    a batch as for an epoch; None where that is no gain, or too much memory."""
    return num_rows if device.type == "cuda" and num_rows <= _MOST_ROWS else None


class Drawn:
    """`draw` for one purpose, batch by batch, or for all rows of an epoch at once, which are then looked up."""

    def __init__(self, purpose: str, columns: int, num_rows: int | None = None) -> None:
        """`num_rows`: every row is below it; None: each batch is drawn by itself (`rows_at_once`)."""
        self.purpose, self.columns, self.num_rows = purpose, columns, num_rows
        self._table: Tensor | None = None
        self._table_of: tuple[int, int] | None = None

    def __call__(self, seed: int, epoch: int, rows: Tensor) -> Tensor:
        """As `draw`: (len(rows), columns) int64 in [0, 2**32) on the device of `rows` (N,) int64."""
        if self.num_rows is None:
            return draw(self.purpose, seed, epoch, rows, self.columns)
        if self._table is None:
            self._table = torch.empty(self.num_rows, self.columns, dtype=torch.int64, device=rows.device)
        self.begin_epoch(seed, epoch)
        return self._table.index_select(0, rows)

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Draws anew what was ever asked for, in the same memory: lookups that were recorded read the new draws."""
        if self._table is not None and self._table_of != (seed, epoch):
            rows = torch.arange(len(self._table), device=self._table.device)
            self._table.copy_(draw(self.purpose, seed, epoch, rows, self.columns))
            self._table_of = seed, epoch


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
