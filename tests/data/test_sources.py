"""One string names the data; class folders and downloads are read; what cannot be found is said in one sentence."""

import hashlib
import pickle
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import CIFAR10, CIFAR100

from cifarray.data import DataError, open_store, resolve

pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address at which this machine serves the files of `tmp_path`."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def save(image: Tensor, path: Path, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.numpy()).convert(mode, palette=Image.Palette.ADAPTIVE).save(path)


def test_names_are_kept_and_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert resolve("cifar10") == "cifar10"
    assert resolve("s3://bucket/prefix/") == "s3://bucket/prefix"
    assert resolve("mine") == str(tmp_path / "mine")
    assert resolve("synthetic") == resolve("synthetic:10000")


@pytest.mark.parametrize("source", ["imagenet", "/no/such/folder", "ftp://host/cifar", ""])
def test_an_unknown_source_is_refused_with_the_choices(source: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither a known name nor a folder: choose cifar10, cifar100, synthetic"):
        open_store(source, "train")


@pytest.mark.parametrize("source", ["a" * 5000, "~nobody-of-this-name/data"], ids=["too long", "no such user"])
def test_a_source_that_cannot_be_looked_at_is_refused_with_the_choices(source: str) -> None:
    with pytest.raises(DataError, match=r"cannot be looked at \(.+\): choose cifar10, cifar100, synthetic"):
        open_store(source, "train")


def test_a_folder_whose_name_cannot_be_printed_is_refused(tmp_path: Path) -> None:
    (folder := tmp_path / "two\nlines").mkdir()
    with pytest.raises(DataError, match=r"two.+lines' is a folder whose name cannot be printed: rename it"):
        open_store(str(folder), "train")


@pytest.mark.parametrize("side", [0, -32])
def test_an_image_size_that_is_none_is_refused(side: int) -> None:
    with pytest.raises(DataError, match=f"image size {side} is no side of an image"):
        open_store("synthetic:50", "train", side)


def test_more_synthetic_images_than_memory_holds_are_refused() -> None:
    with pytest.raises(DataError, match="1,200,000,000,000 images of 32 × 32 pixels need"):
        open_store("synthetic:1000000000000", "train")


@pytest.mark.parametrize(
    "source", ["synthetic:", "synthetic:some", "synthetic:49", "synthetic:-100", f"synthetic:{'9' * 5000}"]
)
def test_a_number_of_synthetic_images_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(DataError, match="needs a whole number of training images from 50 on"):
        open_store(source, "train")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").touch()
    with pytest.raises(DataError, match="is a file: give the folder"):
        open_store(str(tmp_path / "train.parquet"), "train")


def test_a_folder_without_images_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    (tmp_path / "set" / "cat").mkdir(parents=True)
    (tmp_path / "set" / "cat" / "notes.txt").touch()
    with pytest.raises(DataError, match=r"set holds no training images: train\*.parquet files, or class folders"):
        open_store(str(tmp_path / "set"), "train")


def test_class_folders_are_read_in_order_of_their_names(tmp_path: Path, pictures: Tensor) -> None:
    for split, names in (("train", ("dog", "cat")), ("test", ("dog",))):
        for name in names:
            save(pictures[len(name + split)], tmp_path / "set" / split / name / "b.png")
            save(pictures[0], tmp_path / "set" / split / name / "a.PNG")
    (tmp_path / "set/train/.cache").mkdir()
    train, test = (open_store(str(tmp_path / "set"), split) for split in ("train", "test"))
    assert train.classes == test.classes == ("cat", "dog")
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert torch.equal(train.images, pictures[[0, 8, 0, 8]])
    assert test.labels.tolist() == [1, 1]


def test_class_folders_alone_are_training_images(tmp_path: Path, pictures: Tensor) -> None:
    save(pictures[0], tmp_path / "set/cat/0.png")
    save(pictures[1], tmp_path / "set/dog/0.png")
    assert torch.equal(open_store(str(tmp_path / "set"), "train").images, pictures[:2])
    with pytest.raises(DataError, match="has no test split: add one to it, or choose data that has one"):
        open_store(str(tmp_path / "set"), "test")


def test_grey_transparent_and_palette_images_become_rgb_and_any_size_is_fitted(tmp_path: Path) -> None:
    flat = torch.full((40, 60, 3), 120, dtype=torch.uint8)
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK"):
        suffix = "tif" if mode == "CMYK" else "png"
        image = flat if mode != "1" else torch.full_like(flat, 255)
        save(image, tmp_path / "set" / "cat" / f"{mode}.{suffix}", mode)
    save(flat, tmp_path / "set/dog/0.png")
    images = open_store(str(tmp_path / "set"), "train").images
    assert images.shape == (7, 32, 32, 3)
    assert sorted(images.flatten(1).unique(dim=1).flatten().tolist()) == [120] * 6 + [255]


def test_an_unreadable_image_file_is_named(tmp_path: Path, pictures: Tensor) -> None:
    save(pictures[0], tmp_path / "set/cat/0.png")
    (tmp_path / "set/cat/1.jpg").write_bytes(b"\xff\xd8 broken")
    with pytest.raises(DataError, match=r"set/cat/1.jpg is not a readable image .*: remove it or copy it again"):
        open_store(str(tmp_path / "set"), "train")


def test_a_test_class_without_training_images_is_named(tmp_path: Path, pictures: Tensor) -> None:
    save(pictures[0], tmp_path / "set/train/cat/0.png")
    save(pictures[0], tmp_path / "set/test/emu/0.png")
    with pytest.raises(DataError, match=r"set/test/emu is not a class of the training images \(cat\)"):
        open_store(str(tmp_path / "set"), "train")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_without_data_and_network_one_sentence_names_the_ways_to_get_data(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dataset in (CIFAR10, CIFAR100):
        monkeypatch.setattr(dataset, "url", "file:///no/such/archive.tar.gz")
    with pytest.raises(DataError) as caught:
        open_store(name, "train")
    for way in ("a machine with network", "Parquet files", "class folders", "synthetic"):
        assert way in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cifar10_is_downloaded_checked_and_read(
    tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch, pictures: Tensor
) -> None:
    archive = publish_cifar10(tmp_path, web, monkeypatch, pictures)
    train, test = (open_store("cifar10", split) for split in ("train", "test"))
    assert train.classes == tuple(f"class {index}" for index in range(10))
    assert torch.equal(train.images, pictures[:15])
    assert torch.equal(test.images, pictures[15:])
    assert test.labels.tolist() == [5, 6, 7, 8, 9]
    archive.unlink()
    assert len(open_store("cifar10", "train", 16).images) == 15  # from the downloaded copy


def test_a_download_with_a_wrong_checksum_is_refused(
    tmp_path: Path, web: str, monkeypatch: pytest.MonkeyPatch, pictures: Tensor
) -> None:
    archive = publish_cifar10(tmp_path, web, monkeypatch, pictures)
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"cifar10 .* cannot be downloaded"):
        open_store("cifar10", "train")


def publish_cifar10(folder: Path, web: str, monkeypatch: pytest.MonkeyPatch, images: Tensor) -> Path:
    """An archive in the layout of Krizhevsky's, with 15 training and 5 test images, where torchvision looks for it."""
    inside = folder / CIFAR10.base_folder
    inside.mkdir()
    planes = images.permute(0, 3, 1, 2).reshape(len(images), -1).numpy()

    def write(name: str, content: object) -> list[str]:
        (inside / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((inside / name).read_bytes()).hexdigest()]

    labels = np.arange(20) % 10
    train, test = (
        write(name, {"data": planes[part], "labels": labels[part].tolist()})
        for name, part in (("data_batch_1", slice(15)), ("test_batch", slice(15, 20)))
    )
    meta = write("batches.meta", {"label_names": [f"class {index}" for index in range(10)]})
    archive = folder / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as file:
        file.add(inside, CIFAR10.base_folder)
    monkeypatch.setattr(CIFAR10, "url", f"{web}/{archive.name}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [train])
    monkeypatch.setattr(CIFAR10, "test_list", [test])
    monkeypatch.setattr(CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    return archive
