"""Which rows are trained on, which are held out, and in which order an epoch visits them.

Everything is a function of the labels and of fixed constants; only the epoch's order depends on the training seed.
Not here: the images.
"""

import heapq

import torch
from torch import Tensor

from cifarray.data.draws import draw
from cifarray.data.split_sizes import split_sizes

# One split for every trial, study and seed: figures stay comparable.
_SPLIT_SEED = 0


def split_indices(labels: Tensor, validation: float, limit: int | None) -> tuple[Tensor, Tensor]:
    """Row numbers (train, validation), int64, rising, disjoint; both stratified.

    `labels` is (N,) int64. `validation` below 1 is a fraction of the N rows, from 1 on a number of rows; 0 holds out
    none. At most `limit` training rows remain; the rows of a smaller limit are among those of a larger one.
    Raises SplitError if nothing is left to train on.
    """
    total = len(labels)
    num_train, held_out = split_sizes(total, validation, limit)
    kept = torch.ones(total, dtype=torch.bool)
    kept[stratified_rows(labels, held_out, "validation")] = False
    train, held = kept.nonzero()[:, 0], (~kept).nonzero()[:, 0]
    if num_train < len(train):
        train = train[stratified_rows(labels[train], num_train, "limit")].sort().values
    return train, held


def stratified_rows(labels: Tensor, count: int, purpose: str) -> Tensor:
    """The first `count` rows of an order in which every prefix is stratified: each class is less than 1 from its share.

    Such an order always exists (Tijdeman 1980, "The chairman assignment problem"), and serving the earliest deadline
    finds it: the r-th row (from 0) of a class of n out of N comes after r·N/n places and within the first (r+1)·N/n.
    """
    total = len(labels)
    shuffled = draw(purpose, _SPLIT_SEED, 0, torch.arange(total), 1)[:, 0].argsort(stable=True)
    released: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for label in sorted(set(labels.tolist())):
        rows = shuffled[labels[shuffled] == label]
        size = len(rows)
        for rank, row in enumerate(rows[: -(-count * size // total)].tolist()):
            deadline = -(-(rank + 1) * total // size)
            released[rank * total // size].append((deadline, row))
    chosen = []
    waiting: list[tuple[int, int]] = []
    for items in released:
        for item in items:
            heapq.heappush(waiting, item)
        chosen.append(heapq.heappop(waiting)[1])
    return torch.tensor(chosen, dtype=torch.int64)


def epoch_order(indices: Tensor, seed: int, epoch: int) -> Tensor:
    """`indices` (N,) int64 in the order of that epoch: a function of (seed, epoch) and the rows alone."""
    return indices[draw("order", seed, epoch, indices, 1)[:, 0].argsort(stable=True)]
