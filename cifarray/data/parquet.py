"""Reads image datasets in the common Parquet layout, from a local folder or an s3:// or gs:// prefix.

The layout is that of the Hugging Face hub: a column `img` or `image` with the encoded bytes in a struct, and an integer
column `label` or `fine_label`, whose names of classes may be in the schema.
Not here: which files are read (`parquet_files`), one file (`parquet_table`), decoding of an image (`images`).
"""

from collections.abc import Iterator
from itertools import zip_longest

import torch
from PIL import Image

from cifarray import storage
from cifarray.data.errors import DataError
from cifarray.data.images import Dataset, Split, decode, refuse_more_than_memory, stack
from cifarray.data.parquet_files import ParquetPath
from cifarray.data.parquet_table import LABEL_COLUMNS, ParquetTable

Tables = list[ParquetTable]


def read(address: str, files: dict[str, list[ParquetPath]], side: int) -> Dataset:
    """All images of the splits train and test. Raises DataError."""
    filesystem, _ = storage.resolve(address)
    train, test = (
        [ParquetTable(filesystem, file.path) for file in files.get(split, [])] for split in ("train", "test")
    )
    refuse_more_than_memory(sum(table.rows for table in train + test), side)
    no_test = _why_withheld(test)
    if no_test is not None:
        test = []
    _refuse_other_columns(train + test)
    names = _common_names(train + test)
    classes = names or _numbers(train)
    train_split, size = _read_split(train, len(classes), side, None)
    test_split = _read_split(test, len(classes), side, size)[0] if any(table.rows for table in test) else None
    return Dataset(classes, train_split, test_split, no_test, _why_unnamed(address, classes) if names is None else None)


def _read_split(
    tables: Tables, num_classes: int, side: int, size: tuple[int, int] | None
) -> tuple[Split, tuple[int, int] | None]:
    labels = torch.cat([table.labels(num_classes) for table in tables])

    def images() -> Iterator[Image.Image]:
        nonlocal size
        for table in tables:
            for where, data in table.images():
                image = decode(data, where)
                size = size or image.size
                if image.size != size:
                    raise DataError(
                        f"{where} is {image.width} × {image.height} pixels and the images before it are "
                        f"{size[0]} × {size[1]}: all images of a Parquet source must have one size, "
                        "resize them or give a folder of class folders"
                    )
                yield image

    return Split(stack(images(), len(labels), side), labels), size


def _why_withheld(tables: Tables) -> str | None:
    """Of test images whose labels their owner keeps: there is no column, or nothing in it but -1 or null."""
    if not any(table.rows for table in tables):
        return None
    if all(table.label_column is None for table in tables):
        return tables[0].lacks(LABEL_COLUMNS)
    if any(table.has_a_label() for table in tables):
        return None
    return (
        f"{tables[0].path} has the label -1 or none in each row, so nothing can be tested on it: take a copy that has "
        "the labels"
    )


def _refuse_other_columns(tables: Tables) -> None:
    first = tables[0]
    for table in tables:
        table.refuse_without_labels()
        if table.label_column != first.label_column:
            raise DataError(
                f"{first.path} has the labels {first.label_column} and {table.path} {table.label_column}, which may "
                "mean different classes: give all files one of the two"
            )


def _common_names(tables: Tables) -> tuple[str, ...] | None:
    """Of all files that name their classes; None if no file does."""
    named = [(table, names) for table in tables if (names := table.class_names()) is not None]
    for table, names in named[1:]:
        first, expected = named[0]
        if names != expected:
            label, one, other = next(
                (label, one, other)
                for label, (one, other) in enumerate(zip_longest(expected, names, fillvalue="no class"))
                if one != other
            )
            raise DataError(
                f"the label {label} is {one} in {first.path} and {other} in {table.path}: give all files the same "
                "classes in the same order"
            )
    return named[0][1] if named else None


def _why_unnamed(address: str, classes: tuple[str, ...]) -> str:
    return (
        f"{address} does not name its {len(classes)} classes, so they are called 0 to {len(classes) - 1}: write "
        "the files with the ClassLabel of Hugging Face's datasets, or name the classes of a trained network in "
        "cifarray.load(…, classes=[…])"
    )


def _numbers(tables: Tables) -> tuple[str, ...]:
    """Names for classes that have none."""
    rows = sum(table.rows for table in tables)
    # More classes than images cannot be meant, and would be held in memory.
    labels = torch.cat([table.labels(rows, f" in {rows} images whose classes have no names") for table in tables])
    return tuple(str(index) for index in range(int(labels.max()) + 1 if rows else 0))
