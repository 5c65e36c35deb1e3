"""Which rows are trained on, which are held out, and in which order an epoch visits them.

Everything is a function of the labels and of fixed constants; only the epoch's order depends on the training seed.
Not here: the images.
"""

import heapq

import torch
from torch import Tensor

from cifarray.data.draws import draw
from cifarray.data.home import DataError

# One split for every trial, study and seed: figures stay comparable.
_SPLIT_SEED = 0


def split_indices(labels: Tensor, validation: float, limit: int | None) -> tuple[Tensor, Tensor]:
    """Row numbers (train, validation), int64, rising, disjoint; both stratified.

    `labels` is (N,) int64. `validation` below 1 is a fraction of the N rows, from 1 on a number of rows; 0 holds out
    none. At most `limit` training rows remain; the rows of a smaller limit are among those of a larger one.
    Raises DataError if nothing is left to train on.
    """
    total = len(labels)
    held_out = max(1, round(validation * total)) if 0 < validation < 1 else int(validation)
    if held_out >= total:
        raise DataError(
            f"data.validation {validation:g} leaves none of {total} images to train on: choose at most {total - 1}"
        )
    order = stratified_order(labels, "validation")
    kept = order[held_out:].sort().values
    if limit is not None and limit < len(kept):
        kept = kept[stratified_order(labels[kept], "limit")[:limit]].sort().values
    return kept, order[:held_out].sort().values


def stratified_order(labels: Tensor, purpose: str) -> Tensor:
    """A permutation of the rows in which every prefix is stratified: each class's count is less than 1 from its share.

    Such an order always exists (Tijdeman 1980, "The chairman assignment problem"), and serving the earliest deadline
    finds it: the r-th row of a class of n out of N must come after position r·N/n and not after (r+1)·N/n.
    """
    total = len(labels)
    shuffled = draw(purpose, _SPLIT_SEED, 0, torch.arange(total), 1)[:, 0].argsort(stable=True)
    releases: list[list[tuple[int, int]]] = [[] for _ in range(total)]
    for label in sorted(set(labels.tolist())):
        rows = shuffled[labels[shuffled] == label].tolist()
        for rank, row in enumerate(rows):
            deadline = -(-(rank + 1) * total // len(rows))
            releases[rank * total // len(rows)].append((deadline, row))
    order = []
    waiting: list[tuple[int, int]] = []
    for released in releases:
        for item in released:
            heapq.heappush(waiting, item)
        order.append(heapq.heappop(waiting)[1])
    return torch.tensor(order, dtype=torch.int64)


def epoch_order(indices: Tensor, seed: int, epoch: int) -> Tensor:
    """`indices` (N,) int64 in the order of that epoch: a function of (seed, epoch) and the rows alone."""
    return indices[draw("order", seed, epoch, indices, 1)[:, 0].argsort(stable=True)]
