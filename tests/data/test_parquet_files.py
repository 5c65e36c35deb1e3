"""Which Parquet files are one data set; what would make rows count twice is refused."""

import os
from pathlib import Path

import pytest
from pyarrow import fs

from cifarray import storage
from cifarray.data import DataError
from cifarray.data.parquet_files import list_files

HASHES = ("a09b74b3ef9c3b56", "0badc0ffee123456")


@pytest.fixture(params=["local", "remote"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the folder `set`, on this disk and as if in a bucket."""
    (tmp_path / "set").mkdir()
    if request.param == "local":
        return str(tmp_path / "set")
    remote = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(storage, "resolve", lambda address: (remote, address.removeprefix("s3://")))
    return "s3://set"


def touch(tmp_path: Path, *names: str) -> None:
    for name in names:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def listed(address: str) -> dict[str, list[str]]:
    return {split: [file.name for file in files] for split, files in list_files(address).items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (["train.parquet"], ["test.parquet"]),
        (["Train.PARQUET"], []),
        (["train/0000.parquet", "train/0001.parquet"], ["test/0000.parquet"]),
        (["train/train-0.parquet", "train/train-1.parquet"], ["test/test-0.parquet"]),
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
            ["data/test-00000-of-00001.parquet"],
        ),
        ([f"train-0000{i}-of-00002-{HASHES[i]}.parquet" for i in range(2)], []),
        (["train.parquet/part.0.parquet", "train.parquet/part.1.parquet"], []),
        ([f"train/part-0000{i}-5f0c1a52-9a3b-4c5d-8e6f-0123456789ab.c000.parquet" for i in range(2)], []),
    ],
)
def test_the_parts_of_one_data_set_are_taken(address: str, tmp_path: Path, train: list[str], test: list[str]) -> None:
    touch(tmp_path, *train, *test)
    assert listed(address) == {split: names for split, names in (("test", test), ("train", train)) if names}


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/train-checkpoint.parquet",
        ".cache/huggingface/train.parquet",
        "__MACOSX/train.parquet",
        "@eaDir/train.parquet",
        "_temporary/0/train.parquet",
        "._train.parquet",
        "_train.parquet",
        "validation.parquet",
        "train.parquet.bak",
        "training_notes.parquet",
    ],
)
def test_what_is_hidden_or_no_split_is_left_alone(address: str, tmp_path: Path, name: str) -> None:
    touch(tmp_path, "train.parquet", name)
    assert listed(address) == {"train": ["train.parquet"]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("clean/train.parquet", "noisy/train.parquet"),
        ("snapshots/1f2e/data/train-0.parquet", "snapshots/9d8c/data/train-0.parquet"),
        ("backup/train.parquet", "train.parquet"),
        ("train.parquet", "train/0000.parquet"),
        ("a/test.parquet", "b/test.parquet"),
    ],
)
def test_two_data_sets_below_one_folder_are_refused(address: str, tmp_path: Path, one: str, other: str) -> None:
    touch(tmp_path, "train.parquet" if "test" in one else one, one, other)
    with pytest.raises(DataError, match=rf"images in several folders \({one} and {other}\): give the folder of one"):
        list_files(address)


@pytest.mark.parametrize("names", [("v1/train.parquet", "v2/test.parquet"), ("test/0.parquet", "new/train/0.parquet")])
def test_training_images_of_one_set_do_not_go_with_test_images_of_another(
    address: str, tmp_path: Path, names: tuple[str, str]
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataError, match="has training and test images of different data sets"):
        list_files(address)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train (1).parquet", "train.parquet"),
        ("train copy.parquet", "train.parquet"),
        ("train-checkpoint.parquet", "train.parquet"),
        ("train-00000-of-00001.parquet", "train.parquet"),
        ("train-00000-of-00001.parquet", "train-00000-of-00002.parquet"),
        (f"train-00000-of-00001-{HASHES[1]}.parquet", f"train-00000-of-00001-{HASHES[0]}.parquet"),
        ("test - Copy.parquet", "test.parquet"),
    ],
)
def test_a_copy_or_another_version_beside_a_file_is_refused(address: str, tmp_path: Path, one: str, other: str) -> None:
    touch(tmp_path, one, other)
    with pytest.raises(DataError) as caught:
        list_files(address)
    assert f"has both {one} and {other}" in str(caught.value)
    assert "number them (t" in str(caught.value)


def test_missing_parts_are_refused(address: str, tmp_path: Path) -> None:
    touch(tmp_path, "train-00000-of-00003.parquet", "train-00002-of-00003.parquet")
    with pytest.raises(DataError, match="has 2 of the 3 parts of train that train-00000-of-00003.parquet speaks of"):
        list_files(address)


@pytest.mark.parametrize("name", ["test.parquet", "train-1.parquet"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_one_file_under_two_names_is_refused(tmp_path: Path, name: str, link: object) -> None:
    touch(tmp_path, "train-0.parquet")
    link(tmp_path / "set/train-0.parquet", tmp_path / "set" / name)  # type: ignore[operator]
    with pytest.raises(DataError, match="are one and the same, by a link"):
        list_files(str(tmp_path / "set"))


def test_links_between_folders_lead_to_nothing_twice(tmp_path: Path) -> None:
    touch(tmp_path, "v1/train.parquet")
    (tmp_path / "set/latest").symlink_to("v1")
    (tmp_path / "set/v1/up").symlink_to(tmp_path / "set")
    assert listed(str(tmp_path / "set")) == {"train": ["latest/train.parquet"]}


def test_a_file_whose_name_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "train.parquet")
    os.rename(tmp_path / "set/train.parquet", os.fsencode(tmp_path) + b"/set/train-\xe9.parquet")
    with pytest.raises(DataError, match=r"set/train-\\udce9.parquet has a name that cannot be printed: rename it"):
        list_files(str(tmp_path / "set"))


def test_an_address_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(DataError, match=r"^nowhere://bucket cannot be listed"):
        list_files("nowhere://bucket")
