"""Reads a tree of class folders with image files: `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone.

Names of splits are taken in any case. A class folder may hold its images in one folder more, as Tiny ImageNet does.
Not here: decoding and resizing (`images`); images of several sizes are welcome here, unlike in a Parquet source.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from PIL import Image

from cifarray.data.classes import refuse_lookalikes, refuse_unprintable, same_text
from cifarray.data.errors import DataError
from cifarray.data.files import list_folder, open_regular, refuse_broken_link, refuse_same
from cifarray.data.images import Dataset, Split, decode, max_bytes, stack

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff"),
)

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "validation"),
}


@dataclass(frozen=True)
class Tree:
    """Image files by class, all sorted; `train` is empty if there is no image."""

    train: dict[str, list[str]] = field(default_factory=dict)
    test: dict[str, list[str]] = field(default_factory=dict)
    no_test: str | None = None
    """Why the images of a test folder are no test split."""

    def files(self) -> Iterator[str]:
        for classes in (self.train, self.test):
            for paths in classes.values():
                yield from paths


def list_tree(root: str) -> Tree:
    """Raises DataError for a tree whose classes are not clear."""
    splits = _split_folders(root)
    train = splits.get("train", root)
    classes = _class_folders(train, () if "train" in splits else splits.values())
    filled = {name: files for name, files in classes.items() if files}
    if splits:
        _refuse_images_without_class(root, splits, filled)
    if not filled:
        return Tree()
    for name, files in classes.items():
        if not files:
            raise DataError(
                f"{train}/{name} holds no images ({', '.join(SUFFIXES)}), so it is no class: add some or remove it"
            )
    if "test" not in splits:
        return Tree(filled)
    refuse_same([train, splits["test"]])
    return _with_test(filled, splits["test"])


def read(tree: Tree, side: int) -> Dataset:
    """All images, each cut to its centre square and resized to `side`. Raises DataError."""
    classes = tuple(tree.train)
    test = _read_split(tree.test, classes, side) if tree.test else None
    return Dataset(classes, _read_split(tree.train, classes, side), test, tree.no_test)


def _split_folders(root: str) -> dict[str, str]:
    splits: dict[str, str] = {}
    for name in list_folder(root)[0]:
        split = _SPLITS.get(name.lower())
        if split in ("train", "test") and split in splits:
            raise DataError(
                f"{splits[split]} and {root}/{name} are both {split} images: remove one, or give the folder of one "
                "data set"
            )
        if split is not None:
            splits[split] = f"{root}/{name}"
    return splits


def _refuse_images_without_class(root: str, splits: dict[str, str], filled: dict[str, list[str]]) -> None:
    if "train" not in splits:
        folder = next(iter(splits.values()))
        if filled or _image_files(folder, list_folder(folder)[1]):
            raise DataError(
                f"{folder} is a split by its name and there are no training images beside it: put those in class "
                f"folders, {root}/train/CLASS, also if {os.path.basename(folder)} is a class"
            )
    elif not filled and _image_files(splits["train"], list_folder(splits["train"])[1]):
        raise DataError(
            f"{splits['train']} holds images and no class folders: put those of each class in a folder of its own, "
            f"{splits['train']}/CLASS, also if {os.path.basename(splits['train'])} is a class"
        )


def _with_test(train: dict[str, list[str]], folder: str) -> Tree:
    """A test split may come without labels, and is not needed until the end."""
    test = {name: files for name, files in _class_folders(folder).items() if files}
    unknown = [name for name in test if name not in train]
    if not test and _image_files(folder, list_folder(folder)[1]):
        return Tree(
            train, no_test=f"{folder} holds images and no class folders: put them in {folder}/CLASS to test on them"
        )
    if not unknown:
        return Tree(train, test)
    reason = (
        f"{folder}/{unknown[0]} is not a class of the training images ({', '.join(train)}): "
        "rename the folder or remove it"
    )
    if len(test) == 1 and len(train) > 1:
        return Tree(train, no_test=reason)
    raise DataError(reason)


def _class_folders(folder: str, besides: Iterable[str] = ()) -> dict[str, list[str]]:
    """The images of each class, none for an empty folder."""
    names, others = list_folder(folder)
    names = [name for name in names if f"{folder}/{name}" not in besides]
    refuse_unprintable(names, folder)
    refuse_lookalikes(names, folder)
    for name in others:
        # It may be meant as a class, and would be missing in silence.
        refuse_broken_link(f"{folder}/{name}")
    refuse_same([f"{folder}/{name}" for name in names])
    return {same_text(name): _class_files(f"{folder}/{name}") for name in names}


def _class_files(folder: str) -> list[str]:
    names, others = list_folder(folder)
    images = _image_files(folder, others)
    inner = [files for name in names if (files := _image_files(f"{folder}/{name}", list_folder(f"{folder}/{name}")[1]))]
    if len(inner) > 1 or (images and inner):
        folders = ", ".join(os.path.dirname(files[0]) for files in inner[:2])
        raise DataError(
            f"{folder} is a folder with images in folders of its own ({folders}), "
            "so it is not clear what the classes are: give the folder whose folders are the classes, and put all "
            "images of a class in one folder"
        )
    return images or next(iter(inner), [])


def _image_files(folder: str, names: list[str]) -> list[str]:
    """Text, not paths: a hundred thousand Path objects would take longer than asking the disk."""
    return [f"{folder}/{name}" for name in names if name.lower().endswith(SUFFIXES)]


def _read_split(folders: dict[str, list[str]], classes: tuple[str, ...], side: int) -> Split:
    numbers = {name: index for index, name in enumerate(classes)}
    labels = [numbers[name] for name, paths in folders.items() for _ in paths]
    images = stack(_decoded(path for paths in folders.values() for path in paths), len(labels), side)
    return Split(images, torch.tensor(labels, dtype=torch.int64))


def _decoded(files: Iterable[str]) -> Iterator[Image.Image]:
    limit = max_bytes()
    for path in files:
        with open_regular(path, limit) as file:
            yield decode(file, path)
