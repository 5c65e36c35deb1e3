"""Parquet sources: the layouts that are read, and the sentence for each fault."""

from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import fs
from source_files import png, write_parquet
from torch import Tensor

from cifarray import storage
from cifarray.data import DataError, open_store, prepare
from cifarray.data.parquet_table import LABEL_COLUMNS

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


def test_classes_without_names_are_told_once_when_they_are_prepared(
    tmp_path: Path, pictures: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are named after digits have names."""
    write_parquet(tmp_path / "digits/train.parquet", pictures, LABELS, names=["0", "1"])
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    for _ in range(2):
        for name in ("digits", "set"):
            prepare(str(tmp_path / name))
    (warning,) = caplog.messages
    assert warning.startswith(f"{tmp_path}/set does not name its 2 classes, so they are called 0 to 1: ")
    assert "cifarray.load(…, classes=[…])" in warning


def test_a_remote_prefix_is_read_through_its_file_system(
    tmp_path: Path, pictures: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parquet(tmp_path / "bucket/cifar/train.parquet", pictures, LABELS)
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(storage, "resolve", lambda address: (remote, address.removeprefix("s3://")))
    store = open_store("s3://bucket/cifar/", "train")
    assert torch.equal(store.images, pictures)
    assert store.source == "s3://bucket/cifar"


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


@pytest.mark.parametrize("damage", [b"", b"no image at all", "cut short"])
def test_an_unreadable_image_is_named_by_file_and_row(tmp_path: Path, pictures: Tensor, damage: bytes | str) -> None:
    whole = png(pictures[3])
    bad = whole[: len(whole) // 2] if damage == "cut short" else damage
    write_parquet(tmp_path / "set/train.parquet", pictures[:2], LABELS[:2])
    table = pq.read_table(tmp_path / "set/train.parquet")
    broken = pa.table({"img": [{"bytes": bad, "path": None}], "label": [1]}, schema=table.schema)
    pq.write_table(pa.concat_tables([table, broken]), tmp_path / "set/train.parquet")
    with pytest.raises(DataError, match=r"set/train.parquet row 2 is not a readable image \(.*\): remove it or copy"):
        open_store(str(tmp_path / "set"), "train")


def test_a_table_that_keeps_only_the_paths_of_images_is_told_apart_from_a_broken_image(
    tmp_path: Path, pictures: Tensor
) -> None:
    """As `datasets` writes it before the files are embedded."""
    write_parquet(tmp_path / "set/train.parquet", pictures[:2], LABELS[:2])
    table = pq.read_table(tmp_path / "set/train.parquet")
    paths = pa.table({"img": [{"bytes": None, "path": None}], "label": [1]}, schema=table.schema)
    pq.write_table(pa.concat_tables([table, paths]), tmp_path / "set/train.parquet")
    with pytest.raises(DataError, match=r"row 2 has no image in it, .* paths of files: .* or give the folder"):
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


def refused(folder: Path, split: Literal["train", "test"] = "train") -> str:
    with pytest.raises(DataError) as caught:
        open_store(str(folder), split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("first", "other", "words"),
    [
        (["cat", "dog"], ["dog", "cat"], "the label 0 is cat in"),
        (["cat", "dog"], ["cat", "dog", "emu"], "the label 2 is no class in"),
        (["cat", "dog", "emu"], ["cat", "dog"], "the label 2 is emu in"),
    ],
)
@pytest.mark.parametrize("files", [("train-0", "train-1"), ("train", "test")])
def test_a_label_means_the_same_class_in_all_files(
    tmp_path: Path, pictures: Tensor, files: tuple[str, str], first: list[str], other: list[str], words: str
) -> None:
    for file, names in zip(files, (first, other), strict=True):
        write_parquet(tmp_path / f"set/{file}.parquet", pictures, LABELS, names=names)
    message = refused(tmp_path / "set")
    assert message.startswith(words)
    assert all(f"set/{file}.parquet" in message for file in files)


def test_files_without_names_take_those_of_the_others(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures, LABELS, names=["cat", "dog", "emu"])
    assert open_store(str(tmp_path / "set"), "train").classes == ("cat", "dog", "emu")


@pytest.mark.parametrize("files", [("train-0", "train-1"), ("train", "test")])
def test_files_with_labels_of_two_kinds_are_refused(tmp_path: Path, pictures: Tensor, files: tuple[str, str]) -> None:
    for file, column in zip(files, LABEL_COLUMNS, strict=True):
        write_parquet(tmp_path / f"set/{file}.parquet", pictures, LABELS, columns=("img", column))
    assert "label and" in (message := refused(tmp_path / "set"))
    assert "fine_label, which may mean different classes" in message


@pytest.mark.parametrize("values", [[-1] * 3, [None] * 3, [-1, None, -1]])
def test_test_images_whose_labels_are_withheld_are_not_needed_for_training(
    tmp_path: Path, pictures: Tensor, values: list[int | None]
) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures[:3], values)
    assert len(open_store(str(tmp_path / "set"), "train").labels) == 20
    for _ in range(2):  # the second time from what is prepared
        assert "set/test.parquet has the label -1 or none in each row" in refused(tmp_path / "set", "test")


def test_test_images_without_a_column_of_labels_are_not_needed_for_training(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures, LABELS, columns=("img", "id"))
    assert len(open_store(str(tmp_path / "set"), "train").labels) == 20
    assert "set/test.parquet has the columns img, id: one named label" in refused(tmp_path / "set", "test")


def test_test_images_of_which_some_have_no_label_are_refused_before_training(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    write_parquet(tmp_path / "set/test.parquet", pictures[:3], [0, -1, 1])
    assert "test.parquet has the label -1 in row 1" in refused(tmp_path / "set")


def test_a_test_file_without_rows_is_no_test_split(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    path = write_parquet(tmp_path / "set/test.parquet", pictures, LABELS)
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert "has no test split" in refused(tmp_path / "set", "test")


def test_one_class_is_refused_by_its_name(tmp_path: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "set/train.parquet", pictures, [1] * 20, names=["cat", "dog"])
    assert "has training images of one class alone, dog: two are needed" in refused(tmp_path / "set")


@pytest.mark.parametrize("names", [None, ["cat", "dog", "emu"]])
def test_a_class_of_the_test_images_has_training_images(
    tmp_path: Path, pictures: Tensor, names: list[str] | None
) -> None:
    """Labels from 1 on in one split and from 0 on in the other."""
    write_parquet(tmp_path / "set/train.parquet", pictures, [1, 2] * 10, names=names)
    write_parquet(tmp_path / "set/test.parquet", pictures, [0, 1] * 10, names=names)
    assert f"has test images of the class {'cat' if names else '0'} and no training" in refused(tmp_path / "set")
