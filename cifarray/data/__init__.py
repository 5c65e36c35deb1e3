"""What is trained on: sources, the memory-mapped store, splits, batched augmentation.

What needs torch is imported when it is first asked for: a name is looked at without. Not here: the training loop
(`cifarray.training`). No worker processes and no DataLoader: a batch is a gather from the map and a few tensor
operations on the device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cifarray.data.errors import DataError
from cifarray.data.names import known_size, resolve
from cifarray.data.split_sizes import split_sizes

if TYPE_CHECKING:
    from cifarray.data.augment import Augmentation, augments_on, cutout, normalise
    from cifarray.data.crops import center_view
    from cifarray.data.draws import Drawn, below, draw, rows_at_once
    from cifarray.data.given import as_images
    from cifarray.data.grids import grid_draws, grid_members, multi_hot, quarter_numbers, tile
    from cifarray.data.splits import epoch_order, split_indices, stratified_rows
    from cifarray.data.store import ImageStore, open_store, prepare
    from cifarray.data.transfer import take, to_device

__all__ = [
    "Augmentation",
    "DataError",
    "Drawn",
    "ImageStore",
    "as_images",
    "augments_on",
    "below",
    "center_view",
    "cutout",
    "draw",
    "epoch_order",
    "grid_draws",
    "grid_members",
    "known_size",
    "multi_hot",
    "normalise",
    "open_store",
    "prepare",
    "quarter_numbers",
    "resolve",
    "rows_at_once",
    "split_indices",
    "split_sizes",
    "stratified_rows",
    "take",
    "tile",
    "to_device",
]

_FILES = {
    "augment": ("Augmentation", "augments_on", "cutout", "normalise"),
    "crops": ("center_view",),
    "draws": ("Drawn", "below", "draw", "rows_at_once"),
    "given": ("as_images",),
    "grids": ("grid_draws", "grid_members", "multi_hot", "quarter_numbers", "tile"),
    "splits": ("epoch_order", "split_indices", "stratified_rows"),
    "store": ("ImageStore", "open_store", "prepare"),
    "transfer": ("take", "to_device"),
}
"""What needs torch, by its file."""


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f"cifarray.data.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
