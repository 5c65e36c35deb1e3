"""One Parquet file with images: its columns located and checked, its rows a few at a time.

Memory holds some rows and no more, whatever the file says of itself.
Not here: what several files are together (`parquet`) and decoding of an image (`images`).
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pyarrow import fs
from torch import Tensor

from cifarray.data.classes import refuse_unprintable
from cifarray.data.errors import DataError
from cifarray.data.files import refuse_size
from cifarray.data.images import max_bytes

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "fine_label")
_IMAGE_ROWS = 1024
_IMAGE_BYTES = 64 * 2**20
"""What a batch of rows holds at most, if they are of one size."""
_LABEL_ROWS = 65_536
_BUFFER_BYTES = 8 * 2**20
"""Without it Arrow would read the whole row group of a column."""


class ParquetTable:
    """An open file. Raises DataError, also for columns from which no image can be had."""

    def __init__(self, filesystem: fs.FileSystem, path: str) -> None:
        self.path = path
        try:
            self.file = pq.ParquetFile(filesystem.open_input_file(path), buffer_size=_BUFFER_BYTES)
            self.schema = self.file.schema_arrow
            self.names: list[str] = self.schema.names
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._corrupt(error) from error
        self.rows: int = self.file.metadata.num_rows
        self.label_column = self._column(LABEL_COLUMNS)
        image_column = self._column(IMAGE_COLUMNS)
        if image_column is None:
            raise DataError(self.lacks(IMAGE_COLUMNS))
        self.image_column = image_column
        image_type = self.schema.field(image_column).type
        if not _has_bytes(image_type):
            raise DataError(
                f"{path} has images of type {image_type}: a struct with the field `bytes` is needed, the encoded image"
            )

    def lacks(self, names: tuple[str, ...]) -> str:
        """The sentence for a file that has no column of these names."""
        columns = ", ".join(self.names)
        return f"{self.path} has the columns {columns}: one named {' or '.join(names)} is needed, rename it"

    def refuse_without_labels(self) -> None:
        if self.label_column is None:
            raise DataError(self.lacks(LABEL_COLUMNS))
        kind = self.schema.field(self.label_column).type
        if not pa.types.is_integer(kind.value_type if pa.types.is_dictionary(kind) else kind):
            raise DataError(f"{self.path} has labels of type {kind}: integers are needed, 0 for the first class")

    def class_names(self) -> tuple[str, ...] | None:
        """As the hub's `datasets` library writes them into the schema, if it did."""
        try:
            features = json.loads(self.schema.metadata[b"huggingface"])["info"]["features"]
            names = features[self.label_column]["names"]
        except (TypeError, KeyError, ValueError, RecursionError):
            return None
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            return None
        refuse_unprintable(names, self.path)
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            raise DataError(f"{self.path} has two classes of the name {twice}: rename one of them")
        return tuple(names)

    def has_a_label(self) -> bool:
        """Whether any is neither null nor -1."""
        return any(label not in (None, -1) for batch in self._label_batches() for label in batch)

    def labels(self, num_classes: int, reason: str = "") -> Tensor:
        """(rows,) int64, checked to be in [0, num_classes), for a `reason` that is said."""
        parts = [torch.empty(0, dtype=torch.int64)]
        row = 0
        for batch in self._label_batches():
            for label in batch:
                if label is None or not 0 <= label < num_classes:
                    raise DataError(
                        f"{self.path} has the label {label} in row {row}: labels must be from 0 to "
                        f"{num_classes - 1}{reason}, correct it"
                    )
                row += 1
            parts.append(torch.tensor(batch, dtype=torch.int64))
        if row != self.rows:
            raise self._corrupt(f"{self.rows} rows are announced and {row} have a label")
        return torch.cat(parts)

    def images(self) -> Iterator[tuple[str, bytes]]:
        """Where each image is, for messages, and its encoded bytes."""
        limit = max_bytes()
        row = 0
        for batch in self._batches(f"{self.image_column}.bytes", self._image_rows(limit)):
            for data in batch.field("bytes"):
                where = f"{self.path} row {row}"
                if not data.is_valid:
                    raise DataError(
                        f"{where} has no image in it, as where a table keeps only the paths of files: write it again "
                        "with the images' bytes, or give the folder that holds the files"
                    )
                buffer = data.as_buffer()
                refuse_size(len(buffer), limit, where)
                row += 1
                yield where, bytes(buffer)
        if row != self.rows:
            raise self._corrupt(f"{self.rows} rows are announced and {row} have an image")

    def _image_rows(self, limit: int) -> int:
        """How many rows are read at once. Raises DataError for a row group whose images are too large to be read."""
        most = _IMAGE_ROWS
        for number, (rows, size) in enumerate(self._group_sizes()):
            mean = max(1, size // max(1, rows))
            refuse_size(mean, limit, f"{self.path} (a mean image of its part {number})")
            most = min(most, max(1, _IMAGE_BYTES // mean))
        return most

    def _group_sizes(self) -> list[tuple[int, int]]:
        """Rows and bytes, uncompressed, of each row group; asked for one column, Arrow 25 aborts if that is damaged."""
        try:
            groups = [self.file.metadata.row_group(number) for number in range(self.file.metadata.num_row_groups)]
            return [(group.num_rows, group.total_byte_size) for group in groups]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._corrupt(error) from error

    def _label_batches(self) -> Iterator[list[Any]]:
        for batch in self._batches(self.label_column, _LABEL_ROWS) if self.label_column else ():
            yield batch.to_pylist()

    def _batches(self, column: str, rows: int) -> Iterator[Any]:
        try:
            for batch in self.file.iter_batches(batch_size=rows, columns=[column]):
                yield batch.column(0)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._corrupt(error) from error

    def _column(self, names: tuple[str, ...]) -> str | None:
        present = [name for name in self.names if name in names]
        if len(present) > 1:
            raise DataError(f"{self.path} has the columns {' and '.join(present)}: keep the one that is meant")
        return present[0] if present else None

    def _corrupt(self, error: Exception | str) -> DataError:
        return DataError(f"{self.path} cannot be read as Parquet ({error}): it is damaged or cut short, copy it again")


def _has_bytes(kind: pa.DataType) -> bool:
    index = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    if index < 0:
        return False
    return any(
        matches(kind.field(index).type)
        for matches in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    )
