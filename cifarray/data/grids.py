"""CIFAR-10-2x2: pictures of four images in a grid, made on the fly from any source of single images.

A picture belongs to a row, its upper left image; the other three are drawn with repetition from the rows of the same
split. Its target is multi-hot: a class that is there twice is still one label. So with ten classes of equal size a
label is there with probability 1 − 0.9⁴ = 0.344, and who always says no is right 65.6 % of the time.
Not here: augmentation (each quarter by itself, before it is put in place: `augment`), metrics (`cifarray.training`).
"""

import torch
from torch import Tensor

from cifarray.data.draws import Drawn, below

EVALUATION_EPOCH = 0
"""The pictures of an evaluation are those of no epoch of training: a fixed list for all trials and seeds."""


def grid_draws(num_rows: int | None = None) -> Drawn:
    """What `grid_members` draws from."""
    return Drawn("grid", 3, num_rows)


def grid_members(rows: Tensor, pool: Tensor, seed: int, epoch: int, drawn: Drawn | None = None) -> Tensor:
    """The four row numbers (B, 4) of the pictures that belong to `rows` (B,): itself and three of `pool` (N,)."""
    others = below((drawn or grid_draws())(seed, epoch, rows), len(pool))
    return torch.cat([rows[:, None], pool.to(rows.device)[others]], dim=1)


def quarter_numbers(rows: Tensor) -> Tensor:
    """A number (B·4,) for each quarter of the pictures of `rows`, from which its augmentation is drawn."""
    return (rows[:, None] * 4 + torch.arange(4, device=rows.device)).flatten()


def tile(quarters: Tensor) -> Tensor:
    """(B·4, ..., H, W) to (B, ..., 2H, 2W), in the order upper left, upper right, lower left, lower right."""
    upper_left, upper_right, lower_left, lower_right = quarters.reshape(-1, 4, *quarters.shape[1:]).unbind(1)
    upper = torch.cat([upper_left, upper_right], dim=-1)
    lower = torch.cat([lower_left, lower_right], dim=-1)
    return torch.cat([upper, lower], dim=-2)


def multi_hot(labels: Tensor, num_classes: int) -> Tensor:
    """(B, 4) class numbers to (B, num_classes) float32 of zeros and ones."""
    return torch.zeros(len(labels), num_classes, device=labels.device).scatter_(1, labels, 1.0)
