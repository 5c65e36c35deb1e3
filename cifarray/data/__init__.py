"""What is trained on: sources, the memory-mapped store, splits, batched augmentation.

Not here: the training loop (`cifarray.training`). No worker processes and no DataLoader: a batch is a gather from the
map and a few tensor operations on the device.
"""

from cifarray.data.augment import Augmentation, cutout, normalise
from cifarray.data.crops import center_view
from cifarray.data.draws import below, draw
from cifarray.data.errors import DataError
from cifarray.data.grids import grid_members, multi_hot, quarter_numbers, tile
from cifarray.data.sources import resolve
from cifarray.data.splits import epoch_order, split_indices, stratified_rows
from cifarray.data.store import ImageStore, open_store, prepare

__all__ = [
    "Augmentation",
    "DataError",
    "ImageStore",
    "below",
    "center_view",
    "cutout",
    "draw",
    "epoch_order",
    "grid_members",
    "multi_hot",
    "normalise",
    "open_store",
    "prepare",
    "quarter_numbers",
    "resolve",
    "split_indices",
    "stratified_rows",
    "tile",
]
