"""Reads a tree of class folders with image files: `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone.

Not here: decoding and resizing (`images`); images of several sizes are welcome here, unlike in a Parquet source.
"""

import os
from pathlib import Path

import torch

from cifarray.data.errors import DataError
from cifarray.data.images import Dataset, Split, decode, stack

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".ppm", ".tif", ".tiff")

Tree = dict[str, dict[str, list[str]]]


def list_tree(root: Path) -> Tree:
    """{split: {class: image files}}, all sorted; empty if there is no image. Classes without an image are left out."""
    splits = {name: root / name for name in ("train", "test") if (root / name).is_dir()}
    if "train" not in splits:
        splits = {"train": root}
    tree: Tree = {}
    for split, folder in splits.items():
        classes = {name: _image_files(folder / name) for name in sorted(os.listdir(folder)) if (folder / name).is_dir()}
        if filled := {name: files for name, files in classes.items() if files}:
            tree[split] = filled
    return tree


def read(tree: Tree, side: int) -> Dataset:
    """All images, each cut to its centre square and resized to `side`. Raises DataError."""
    classes = tuple(tree["train"])
    for name, files in tree.get("test", {}).items():
        if name not in classes:
            raise DataError(
                f"{os.path.dirname(files[0])} is not a class of the training images ({', '.join(classes)}): "
                "rename the folder or remove it"
            )
    test = _read_split(tree["test"], classes, side) if "test" in tree else None
    return Dataset(classes, _read_split(tree["train"], classes, side), test)


def _read_split(folders: dict[str, list[str]], classes: tuple[str, ...], side: int) -> Split:
    files = [file for paths in folders.values() for file in paths]
    labels = [classes.index(name) for name, paths in folders.items() for _ in paths]
    images = stack((decode(_read_bytes(file), file) for file in files), len(files), side)
    return Split(images, torch.tensor(labels, dtype=torch.int64))


def _read_bytes(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error}): check its permissions, or remove it") from error


def _image_files(folder: Path) -> list[str]:
    """Text, not paths: a hundred thousand Path objects would take longer than asking the disk."""
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(SUFFIXES) and not name.startswith("."))
    return [f"{folder}/{name}" for name in names]
