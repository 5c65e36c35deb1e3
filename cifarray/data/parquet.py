"""Reads image datasets in the common Parquet layout, from a local folder or an s3:// or gs:// prefix.

The layout is that of the Hugging Face hub: files or folders named train… and test…, a column `img` or `image` with the
encoded bytes in a struct, and an integer column `label` or `fine_label`. Files of other splits are ignored.
Not here: decoding of an image (`images`).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from pyarrow import fs

from cifarray import storage
from cifarray.data.errors import DataError
from cifarray.data.images import Dataset, Split, decode, stack

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
_SPLIT_NAME = re.compile(r"(train|test|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
_BATCH_ROWS = 1024


def list_files(address: str) -> dict[str, list[fs.FileInfo]]:
    """The Parquet files of each split, sorted by path; empty if there are none.

    `address` is an absolute folder or a remote prefix. Raises DataError if it cannot be reached.
    """
    try:
        filesystem, root = storage.resolve(address)
        infos = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{address} cannot be listed ({error}): check the address and its credentials") from error
    files: dict[str, list[fs.FileInfo]] = {}
    for info in sorted(infos, key=lambda info: info.path):
        split = _split_of(info.path.removeprefix(root).strip("/"))
        if split and info.is_file and info.extension == "parquet":
            files.setdefault(split, []).append(info)
    return files


def read(address: str, files: dict[str, list[fs.FileInfo]], side: int) -> Dataset:
    """All images of the splits train and test. Raises DataError."""
    filesystem, _ = storage.resolve(address)
    train_files = [_Table(filesystem, info.path) for info in files["train"]]
    classes = next((names for names in (table.class_names() for table in train_files) if names), None)
    if classes is None:
        highest = max((label for table in train_files for label in table.labels(None)), default=-1)
        classes = tuple(str(index) for index in range(highest + 1))
    train, size = _read_split(train_files, len(classes), side, None)
    test = None
    if "test" in files:
        test, _ = _read_split([_Table(filesystem, info.path) for info in files["test"]], len(classes), side, size)
    return Dataset(classes, train, test)


def _read_split(
    tables: list["_Table"], num_classes: int, side: int, size: tuple[int, int] | None
) -> tuple[Split, tuple[int, int] | None]:
    labels = torch.tensor([label for table in tables for label in table.labels(num_classes)], dtype=torch.int64)

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

    stacked = stack(images(), len(labels), side)
    return Split(stacked, labels), size


class _Table:
    """One Parquet file, its columns found and checked."""

    def __init__(self, filesystem: fs.FileSystem, path: str) -> None:
        self.path = path
        try:
            self.file = pq.ParquetFile(filesystem.open_input_file(path))
        except (pa.ArrowException, OSError) as error:
            raise self._corrupt(error) from error
        self.schema = self.file.schema_arrow
        self.image_column = self._column(IMAGE_COLUMNS)
        self.label_column = self._column(LABEL_COLUMNS)
        image_type, label_type = self.schema.field(self.image_column).type, self.schema.field(self.label_column).type
        if not pa.types.is_struct(image_type) or image_type.get_field_index("bytes") < 0:
            raise DataError(
                f"{path} has images of type {image_type}: a struct with the field `bytes` is needed, the encoded image"
            )
        if not pa.types.is_integer(label_type):
            raise DataError(f"{path} has labels of type {label_type}: integers are needed, 0 for the first class")

    def class_names(self) -> tuple[str, ...] | None:
        """As the hub's `datasets` library writes them into the schema, if it did."""
        try:
            features = json.loads(self.schema.metadata[b"huggingface"])["info"]["features"]
            return tuple(features[self.label_column]["names"])
        except (TypeError, KeyError, ValueError):
            return None

    def labels(self, num_classes: int | None) -> list[int]:
        """Checked to be in [0, num_classes), or at least not negative."""
        labels: list[int] = []
        for batch in self._batches(self.label_column):
            labels += batch.to_pylist()
        for row, label in enumerate(labels):
            if label is None or label < 0 or (num_classes is not None and label >= num_classes):
                allowed = "from 0 on" if num_classes is None else f"from 0 to {num_classes - 1}"
                raise DataError(f"{self.path} has the label {label} in row {row}: labels must be {allowed}, correct it")
        return labels

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Where each image is, for messages, and its encoded bytes."""
        row = 0
        for batch in self._batches(self.image_column):
            for data in batch.field("bytes"):
                yield f"{self.path} row {row}", data.as_py() or b""
                row += 1

    def _batches(self, column: str) -> Iterator[Any]:
        try:
            for batch in self.file.iter_batches(batch_size=_BATCH_ROWS, columns=[column]):
                yield batch.column(0)
        except (pa.ArrowException, OSError) as error:
            raise self._corrupt(error) from error

    def _column(self, names: tuple[str, ...]) -> str:
        for name in names:
            if name in self.schema.names:
                return name
        columns = ", ".join(self.schema.names)
        raise DataError(f"{self.path} has the columns {columns}: one named {' or '.join(names)} is needed, rename it")

    def _corrupt(self, error: Exception) -> DataError:
        return DataError(f"{self.path} cannot be read as Parquet ({error}): it is damaged or cut short, copy it again")


def _split_of(path: str) -> str | None:
    """From the file's name or, failing that, the nearest folder that names a split."""
    for part in reversed(path.split("/")):
        if match := _SPLIT_NAME.match(part):
            return match.group(1).lower()
    return None
