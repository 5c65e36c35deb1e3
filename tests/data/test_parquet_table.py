"""One Parquet file: types of columns, names of classes, labels and sizes, whatever the file says of itself."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_files import write_parquet
from torch import Tensor

from cifarray.data import DataError, open_store

pytestmark = pytest.mark.usefixtures("own_home")
LABELS = [0, 1] * 10


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_store(str(folder), "train")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_column(path: Path, column: str, values: pa.Array) -> None:
    """Puts another column in the place of one, or beside the others."""
    table = pq.read_table(path)
    index = table.schema.get_field_index(column)
    pq.write_table(table.append_column(column, values) if index < 0 else table.set_column(index, column, values), path)


@pytest.mark.parametrize(("column", "present"), [("fine_label", "label"), ("label", "label"), ("image", "img")])
def test_two_columns_that_could_be_meant_are_refused(
    tmp_path: Path, pictures: Tensor, column: str, present: str
) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    table = pq.read_table(path)
    pq.write_table(table.append_column(column, table[present]), path)
    assert f"has the columns {present} and {column}: keep the one that is meant" in refused(tmp_path / "set")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["cat", "dog", "cat"], "two classes of the name cat"),
        (["cat", "d\nog"], "a class named 'd\\nog'"),
        (["cat", " "], "a class named ' '"),
    ],
)
def test_names_that_cannot_be_told_apart_or_printed_are_refused(
    tmp_path: Path, pictures: Tensor, names: list[str], words: str
) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS, names=names)
    assert words in refused(tmp_path / "set")


@pytest.mark.parametrize(
    "names", ["ab", {"0": "cat"}, [0, 1], [], None, pytest.param("[" * 100_000, id="deep")], ids=repr
)
def test_what_is_no_list_of_names_names_no_class(tmp_path: Path, pictures: Tensor, names: object) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    text = json.dumps({"info": {"features": {"label": {"names": names}}}})
    if isinstance(names, str) and len(names) > 2:
        text = names
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": text}), path)
    assert open_store(str(tmp_path / "set"), "train").classes == ("0", "1")


@pytest.mark.parametrize("label", [20, 10**9, 2**63 - 1, 2**64 - 1])
def test_there_cannot_be_more_classes_than_images(tmp_path: Path, pictures: Tensor, label: int) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_column(path, "label", pa.array([*LABELS[:19], label], pa.uint64()))
    expected = f"the label {label} in row 19: labels must be from 0 to 19 in 20 images whose classes have no names"
    assert expected in refused(tmp_path / "set")


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.uint64(), pa.dictionary(pa.int8(), pa.int64())], ids=str)
def test_whole_numbers_of_any_kind_are_labels(tmp_path: Path, pictures: Tensor, kind: pa.DataType) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_column(path, "label", pa.array(LABELS).cast(kind) if "dict" not in str(kind) else pa.array(LABELS, kind))
    assert open_store(str(tmp_path / "set"), "train").labels.tolist() == LABELS


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["cat", "dog"] * 10).dictionary_encode(),
        pa.array([0.0, 1.0] * 10),
        pa.array([False, True] * 10),
        pa.array([[0], [1]] * 10),
        pa.array([{"id": 0}, {"id": 1}] * 10),
    ],
    ids=lambda values: str(values.type)[:10],
)
def test_labels_of_another_type_are_refused(tmp_path: Path, pictures: Tensor, values: pa.Array) -> None:
    write_column(write_parquet(tmp_path / "set/train.parquet", pictures, LABELS), "label", values)
    assert "integers are needed, 0 for the first class" in refused(tmp_path / "set")


@pytest.mark.parametrize(
    "images",
    [
        pa.array([{"bytes": "text"}] * 20),
        pa.array([{"bytes": {"bytes": b"deeper"}}] * 20),
        pa.array([[{"bytes": b"a list"}]] * 20),
        pa.array([{"path": "a.png"}] * 20),
    ],
    ids=["text", "deeper", "list", "path"],
)
def test_images_of_another_type_are_refused(tmp_path: Path, pictures: Tensor, images: pa.Array) -> None:
    write_column(write_parquet(tmp_path / "set/train.parquet", pictures, LABELS), "img", images)
    assert "a struct with the field `bytes` is needed, the encoded image" in refused(tmp_path / "set")


def test_a_row_too_large_for_any_image_is_refused(
    tmp_path: Path, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFARRAY_MAX_PIXELS", "10000")
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    images = [*pq.read_table(path)["img"].to_pylist()[:19], {"bytes": bytes(80_001), "path": None}]
    write_column(path, "img", pa.array(images))
    assert "row 19 is too large for an image, 80,001 bytes where 80,000 are allowed" in refused(tmp_path / "set")


def test_a_part_of_rows_too_large_for_images_is_not_even_read(
    tmp_path: Path, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFARRAY_MAX_PIXELS", "100")
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", no_images(pq.ParquetFile.iter_batches))
    assert "a mean image of its part 0) is too large for an image" in refused(tmp_path / "set")


def no_images(iter_batches: Callable[..., Iterator[pa.RecordBatch]]) -> Callable[..., Iterator[pa.RecordBatch]]:
    def labels_alone(self: pq.ParquetFile, batch_size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        assert columns == ["label"]
        return iter_batches(self, batch_size=batch_size, columns=columns)

    return labels_alone


def test_rows_that_are_more_than_memory_holds_are_not_even_read(tmp_path: Path) -> None:
    """Ten million rows of nothing take some kilobytes."""
    rows = 10**7
    images = pa.StructArray.from_arrays([pa.nulls(rows, pa.binary())], ["bytes"])
    table = pa.table({"img": images, "label": pa.nulls(rows, pa.int64())})
    (tmp_path / "set").mkdir()
    pq.write_table(table, tmp_path / "set/train.parquet")
    with pytest.raises(DataError, match="10,000,000 images of 512 × 512 pixels need"):
        open_store(str(tmp_path / "set"), "train", 512)


def test_a_file_that_announces_another_number_of_rows_is_damaged(tmp_path: Path, pictures: Tensor) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    data = path.read_bytes()
    # Thrift's number of 64 bits, 20; the first of the footer is that of the whole file.
    announced = data.index(b"\x16\x28", len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    path.write_bytes(data[:announced] + b"\x16\x2a" + data[announced + 2 :])
    assert pq.ParquetFile(path).metadata.num_rows == 21
    assert "21 rows are announced and 20 have a label): it is damaged or cut short" in refused(tmp_path / "set")
