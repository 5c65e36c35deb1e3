"""Class folders: what of a tree is read, whatever lies in it, and the sentence where classes are not clear."""

import os
import socket
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from source_files import write_classes

from cifarray.data import DataError, ImageStore, files, open_store

pytestmark = pytest.mark.usefixtures("own_home")
WITH_ACCENT = "caf\u00e9"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "set"


def opened(root: Path, split: str = "train") -> ImageStore:
    return open_store(str(root), split)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", [".git", ".ipynb_checkpoints", "@eaDir", "@Recycle", "#recycle", "__MACOSX", "$RECYCLE.BIN", "lost+found"]
)
@pytest.mark.parametrize("place", ["", "train/", "train/ant/"])
def test_what_programs_leave_behind_is_no_data(root: Path, name: str, place: str) -> None:
    write_classes(root / "train" if place else root)
    write_classes(root / place, [name])
    store = opened(root)
    assert (store.classes, len(store.labels)) == (("ant", "bee"), 4)


@pytest.mark.parametrize("name", [".DS_Store", "._0.png", ".hidden.png", "Thumbs.db", "labels.csv"])
def test_files_that_are_no_images_are_left_alone(root: Path, name: str) -> None:
    write_classes(root)
    (root / "ant" / name).write_bytes(b"no image")
    (root / name).write_bytes(b"no image")
    assert len(opened(root).labels) == 4


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, pytest.MonkeyPatch.context() as patch:
        patch.chdir(path.parent)  # a socket's whole path has hardly 100 letters
        server.bind(path.name)


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "link to a pipe": make_link_to_pipe,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("name", ["ant/z.png", "train.parquet"])
def test_what_is_no_regular_file_is_named_and_not_opened(root: Path, name: str, make: Callable[[Path], None]) -> None:
    write_classes(root)
    make(root / name)
    with pytest.raises(DataError, match=rf"set/{name} is no regular file but a folder, pipe, socket or device"):
        opened(root)


@pytest.mark.timeout(20)
def test_a_file_that_becomes_a_pipe_after_it_was_listed_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "z.png")
    with pytest.raises(DataError, match="is no regular file"), files.open_regular(str(tmp_path / "z.png"), 100):
        pass


def test_a_file_too_large_for_any_image_is_not_read(root: Path) -> None:
    write_classes(root)
    os.truncate(root / "ant/0.png", 2**40)  # with a hole, which takes no room on the disk
    with pytest.raises(DataError, match=r"ant/0.png is too large for an image, 1,099,511,627,776 bytes where"):
        opened(root)


@pytest.mark.parametrize("target", ["nowhere.png", "z.png", "0.png/z.png"], ids=["nothing", "itself", "below a file"])
@pytest.mark.parametrize("name", ["ant/z.png", "cat"], ids=["image", "class"])
def test_a_link_that_cannot_be_followed_is_named(root: Path, name: str, target: str) -> None:
    write_classes(root)
    link = root / name
    link.symlink_to(link.name if target == "z.png" else link.parent / target)
    with pytest.raises(DataError, match=rf"set/{name} (is a link that leads nowhere|cannot be read) \(.+\): "):
        opened(root)


def test_links_to_other_places_are_followed_and_a_way_back_up_is_none(root: Path, tmp_path: Path) -> None:
    write_classes(root)
    write_classes(tmp_path / "elsewhere", ["cat"])
    (root / "cat").symlink_to(tmp_path / "elsewhere/cat")
    (root / "ant/up").symlink_to(root)
    (root / "ant/linked.png").symlink_to("0.png")
    store = opened(root)
    assert store.classes == ("ant", "bee", "cat")
    assert store.labels.tolist() == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("layout", ["class", "split"])
def test_one_folder_under_two_names_is_refused(root: Path, layout: str) -> None:
    if layout == "class":
        write_classes(root)
        (root / "cat").symlink_to("ant")
    else:
        write_classes(root / "train")
        (root / "test").symlink_to("train")
    with pytest.raises(DataError, match="are one and the same, by a link: remove the link"):
        opened(root)


def test_a_folder_that_may_not_be_listed_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(root)
    scandir = os.scandir

    def scan(path: str) -> object:
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(DataError, match=r"set/bee cannot be listed \(.*Permission denied.*\)"):
        opened(root)


def test_a_file_whose_name_is_in_another_encoding_is_read(root: Path) -> None:
    write_classes(root)
    os.rename(root / "ant/0.png", os.fsencode(root) + b"/ant/caf\xe9.png")
    assert len(opened(root).labels) == 4


def test_a_class_that_cannot_be_printed_is_refused(root: Path) -> None:
    write_classes(root)
    os.rename(root / "bee", os.fsencode(root) + b"/b\xe9")
    with pytest.raises(DataError, match=r"has a class named 'b.udce9', which cannot be printed: rename it"):
        opened(root)


def test_a_message_is_one_line_whatever_a_file_is_called(root: Path) -> None:
    write_classes(root)
    (root / "ant/two\nlines\t\udcff.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"ant/two\\nlines\\t\\udcff.png is not a readable image"):
        opened(root)


@pytest.mark.parametrize("other", ["Bee", "BEE ", unicodedata.normalize("NFD", WITH_ACCENT), "\uff42ee"])
def test_classes_that_differ_only_in_writing_are_refused(root: Path, other: str) -> None:
    write_classes(root, ["ant", "bee", WITH_ACCENT, other])
    with pytest.raises(DataError, match="differ only in how they are written: put them together, or rename one"):
        opened(root)


def test_an_accent_is_the_same_letter_in_both_splits_however_it_is_written(root: Path) -> None:
    write_classes(root / "train", ["ant", WITH_ACCENT])
    write_classes(root / "test", ["ant", unicodedata.normalize("NFD", WITH_ACCENT)])
    assert opened(root).classes == opened(root, "test").classes == ("ant", WITH_ACCENT)
    assert opened(root, "test").labels.tolist() == [0, 0, 1, 1]


def test_a_folder_without_images_among_classes_is_named(root: Path) -> None:
    write_classes(root)
    (root / "cat").mkdir()
    with pytest.raises(DataError, match=r"set/cat holds no images .* so it is no class: add some or remove it"):
        opened(root)


@pytest.mark.parametrize("train", ["train", "Train", "TRAINING"])
@pytest.mark.parametrize("test", ["test", "Test", "testing"])
def test_splits_are_known_in_any_case_and_validation_is_ignored(root: Path, train: str, test: str) -> None:
    write_classes(root / train)
    write_classes(root / test, count=1)
    write_classes(root / "Val", ["ant", "gnu"])
    assert opened(root).labels.tolist() == [0, 0, 1, 1]
    assert opened(root, "test").labels.tolist() == [0, 1]


@pytest.mark.parametrize("names", [("Train", "Test"), ("train", "val"), ("training", "testing"), ("train", "ship")])
def test_images_directly_in_a_split_have_no_class(root: Path, names: tuple[str, ...]) -> None:
    write_classes(root, names)
    with pytest.raises(DataError, match=rf"set/{names[0]} holds images and no class folders: .*/CLASS, also if"):
        opened(root)


@pytest.mark.parametrize("name", ["test", "Val", "dev"])
def test_a_split_beside_classes_is_none_of_them(root: Path, name: str) -> None:
    write_classes(root)
    write_classes(root, [name])
    with pytest.raises(DataError, match=rf"set/{name} is a split by its name and there are no training images beside"):
        opened(root)


def test_two_folders_of_one_split_are_refused(root: Path) -> None:
    write_classes(root / "Train")
    write_classes(root / "train")
    with pytest.raises(DataError, match="set/Train and .*set/train are both train images: remove one"):
        opened(root)


@pytest.mark.parametrize("layout", ["images in the folder", "unknown", "images"])
def test_test_images_without_labels_are_not_needed_for_training(root: Path, layout: str) -> None:
    write_classes(root / "train")
    write_classes(root, ["test"]) if layout == "images in the folder" else write_classes(root / "test", [layout])
    assert len(opened(root).labels) == 4
    message = "holds images and no class folders" if layout == "images in the folder" else "is not a class of the"
    for _ in range(2):  # the second time from what is prepared
        with pytest.raises(DataError, match=rf"set/test.* {message}"):
            opened(root, "test")


def test_a_class_may_keep_its_images_one_folder_deeper(root: Path) -> None:
    write_classes(root / "train/ant", ["images"])
    write_classes(root / "train/bee", ["images"])
    (root / "train/ant/boxes.txt").touch()
    assert (opened(root).classes, opened(root).labels.tolist()) == (("ant", "bee"), [0, 0, 1, 1])


@pytest.mark.parametrize("folders", [("clean", "noisy"), ("images",), ("2019", "2020", "2021")])
def test_data_sets_are_no_classes(root: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        write_classes(root / folder)
    with pytest.raises(DataError, match=rf"set/{folders[0]} .*it is not clear what the classes are: give the folder"):
        opened(root)


def test_images_of_a_class_in_two_depths_are_not_lost_in_silence(root: Path) -> None:
    write_classes(root)
    write_classes(root / "ant", ["more"])
    with pytest.raises(DataError, match="set/ant .*ant/more.* put all images of a class in one folder"):
        opened(root)


def test_one_class_is_refused_by_its_name(root: Path) -> None:
    write_classes(root, ["images"])
    with pytest.raises(DataError, match="set' has training images of one class alone, images: two are needed"):
        opened(root)


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".pgm", ".Tiff"])
def test_less_common_suffixes_are_images_too(root: Path, suffix: str) -> None:
    write_classes(root)
    kind = {".pgm": "PPM", ".Tiff": "TIFF"}.get(suffix, "JPEG")
    Image.new("L", (8, 8)).save(root / f"ant/z{suffix}", kind)
    assert len(opened(root).labels) == 5
