"""Parquet sources: the layouts that are read, and the sentence for each fault."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import fs
from source_files import png, write_parquet
from torch import Tensor

from cifarray import storage
from cifarray.data import DataError, open_store
from cifarray.data.parquet_files import list_files

pytestmark = pytest.mark.usefixtures("own_home")
LABELS = [0, 1] * 10


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train.parquet", "test.parquet"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("plain_text/train/0000.parquet", "plain_text/test/0000.parquet"),
    ],
)
@pytest.mark.parametrize("columns", [("img", "label"), ("image", "fine_label")])
def test_images_and_labels_come_out_as_they_were_written(
    tmp_path: Path, pictures: Tensor, train: str, test: str, columns: tuple[str, str]
) -> None:
    write_parquet(tmp_path / "set" / train, pictures, LABELS, columns=columns)
    write_parquet(tmp_path / "set" / test, pictures[:3], LABELS[:3], columns=columns)
    for split, count in (("train", 20), ("test", 3)):
        store = open_store(str(tmp_path / "set"), split)
        assert torch.equal(store.images, pictures[:count])
        assert store.labels.tolist() == LABELS[:count]


def test_several_files_of_a_split_follow_each_other_and_validation_files_are_ignored(
    tmp_path: Path, pictures: Tensor
) -> None:
    write_parquet(tmp_path / "set/train-00001-of-00002.parquet", pictures[8:], LABELS[8:])
    write_parquet(tmp_path / "set/train-00000-of-00002.parquet", pictures[:8], LABELS[:8])
    write_parquet(tmp_path / "set/validation-00000-of-00001.parquet", pictures[:2], [7, 7])
    store = open_store(str(tmp_path / "set"), "train")
    assert torch.equal(store.images, pictures)
    assert store.classes == ("0", "1")
    with pytest.raises(DataError, match="has no test split"):
        open_store(str(tmp_path / "set"), "test")


def test_class_names_are_those_of_the_hubs_schema(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS, names=["cat", "dog", "emu"])
    assert open_store(str(tmp_path / "set"), "train").classes == ("cat", "dog", "emu")


def test_a_remote_prefix_is_read_through_its_file_system(
    tmp_path: Path, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "bucket/cifar/train.parquet", pictures, LABELS)
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(storage, "resolve", lambda address: (remote, address.removeprefix("s3://")))
    store = open_store("s3://bucket/cifar/", "train")
    assert torch.equal(store.images, pictures)
    assert store.source == "s3://bucket/cifar"


def test_an_address_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(DataError, match=r"^nowhere://bucket cannot be listed"):
        list_files("nowhere://bucket")


def test_a_source_of_another_side_is_resized_and_keeps_its_flat_colours(tmp_path: Path) -> None:
    images = torch.zeros(2, 48, 64, 3, dtype=torch.uint8)
    images[:, :, 8:56] = torch.tensor([10, 200, 90], dtype=torch.uint8)  # the centre square; outside of it black
    write_parquet(tmp_path / "set/train.parquet", images, [0, 1])
    for side in (16, 96):
        store = open_store(str(tmp_path / "set"), "train", side)
        assert store.side == side
        assert torch.equal(store.images, images[:, :1, 8:9].expand(2, side, side, 3))


def test_an_image_of_another_size_is_named(tmp_path: Path, pictures: Tensor) -> None:
    images = [*pictures[:4], pictures[4, :30, :28]]
    write_parquet(tmp_path / "set/train.parquet", images, LABELS[:5])
    message = r"train.parquet row 4 is 28 × 30 pixels and the images before it are 32 × 32: .* resize them"
    with pytest.raises(DataError, match=message):
        open_store(str(tmp_path / "set"), "train")


def test_test_images_of_another_size_than_the_training_images_are_named(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures[:, :16, :16], LABELS)
    with pytest.raises(DataError, match=r"test.parquet row 0 is 16 × 16"):
        open_store(str(tmp_path / "set"), "train")


@pytest.mark.parametrize("damage", [b"", b"no image at all", "cut short", None])
def test_an_unreadable_image_is_named_by_file_and_row(
    tmp_path: Path, pictures: Tensor, damage: bytes | str | None
) -> None:
    whole = png(pictures[3])
    bad = whole[: len(whole) // 2] if damage == "cut short" else damage
    write_parquet(tmp_path / "set/train.parquet", pictures[:2], LABELS[:2])
    table = pq.read_table(tmp_path / "set/train.parquet")
    broken = pa.table({"img": [{"bytes": bad, "path": None}], "label": [1]}, schema=table.schema)
    pq.write_table(pa.concat_tables([table, broken]), tmp_path / "set/train.parquet")
    with pytest.raises(DataError, match=r"set/train.parquet row 2 is not a readable image \(.*\): remove it or copy"):
        open_store(str(tmp_path / "set"), "train")


@pytest.mark.parametrize("label", [-1, 3, None])
def test_a_label_outside_of_the_classes_is_named(tmp_path: Path, pictures: Tensor, label: int | None) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures[:3], [0, 1, label], names=["cat", "dog", "emu"])
    with pytest.raises(DataError, match=rf"train.parquet has the label {label} in row 2: labels must be from 0 to 2"):
        open_store(str(tmp_path / "set"), "train")


def test_a_test_label_that_no_training_image_has_is_named(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures[:2], [0, 2])
    with pytest.raises(DataError, match=r"test.parquet has the label 2 in row 1: labels must be from 0 to 1"):
        open_store(str(tmp_path / "set"), "train")


@pytest.mark.parametrize("part", ["end", "middle", "empty"])
def test_a_damaged_file_is_named_and_leaves_nothing(
    tmp_path: Path, own_home: Path, pictures: Tensor, part: str
) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    data = path.read_bytes()
    middle = data[:10_000] + bytes(byte ^ 0xFF for byte in data[10_000:40_000]) + data[40_000:]
    path.write_bytes({"end": data[:-1000], "middle": middle, "empty": b""}[part])
    with pytest.raises(DataError, match=r"set/train.parquet .*copy it again"):
        open_store(str(tmp_path / "set"), "train")
    assert [file for file in own_home.rglob("*") if file.is_file() and file.suffix != ".lock"] == []


def test_wrong_columns_are_named_with_those_that_are_needed(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "a/train.parquet", pictures, LABELS, columns=("photo", "label"))
    with pytest.raises(DataError, match="has the columns photo, label: one named img or image is needed"):
        open_store(str(tmp_path / "a"), "train")
    write_parquet(tmp_path / "b/train.parquet", pictures, [str(label) for label in LABELS])
    with pytest.raises(DataError, match="has labels of type string: integers are needed"):
        open_store(str(tmp_path / "b"), "train")
    (tmp_path / "c").mkdir()
    pq.write_table(pa.table({"img": [b"bytes"], "label": [0]}), tmp_path / "c/train.parquet")
    with pytest.raises(DataError, match="has images of type binary: a struct with the field `bytes` is needed"):
        open_store(str(tmp_path / "c"), "train")


def test_a_file_without_rows_is_no_training_data(tmp_path: Path, pictures: Tensor) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(DataError, match="has no training images"):
        open_store(str(tmp_path / "set"), "train")
