"""The store: what is in it, that it is made once and whole, that processes share it, what is said when it is broken."""

import contextlib
import errno
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from source_files import write_parquet
from torch import Tensor

from cifarray.data import DataError, open_store, prepare, synthetic
from cifarray.data.images import Dataset
from cifarray.data.store import channel_statistics

LABELS = [0, 1] * 10


def files_in(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_the_file_has_the_documented_columns_and_metadata(tmp_path: Path, own_home: Path, pictures: Tensor) -> None:
    write_parquet(tmp_path / "my set/train.parquet", pictures, LABELS, names=["cat", "dog"])
    folder = prepare(str(tmp_path / "my set"))
    assert folder.is_relative_to(own_home)
    assert folder.name.startswith("my-set-32-")
    with pa.memory_map(str(folder / "train.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
        assert table.schema.field("image").type == pa.binary(3 * 32 * 32)
        assert table["image"][5].as_py() == pictures[5].numpy().tobytes()
        assert table["label"].to_pylist() == LABELS
        metadata = {key.decode(): json.loads(value) for key, value in table.schema.metadata.items()}
    content = pictures.numpy().tobytes() + b"".join(label.to_bytes(8, "little") for label in LABELS)
    means, stds, covariance = (metadata.pop(name) for name in ("mean", "std", "covariance"))
    assert metadata == {
        "source": str(tmp_path / "my set"),
        "side": 32,
        "classes": ["cat", "dog"],
        "rows": 20,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    pixels = pictures.double() / 255
    assert means == pytest.approx(pixels.mean((0, 1, 2)).tolist(), abs=1e-12)
    assert stds == pytest.approx(pixels.std((0, 1, 2), correction=0).tolist(), abs=1e-12)
    expected = torch.cov(pixels.view(-1, 3).T, correction=0)
    torch.testing.assert_close(torch.tensor(covariance, dtype=torch.float64), expected, rtol=0, atol=1e-12)


def test_the_test_split_carries_the_statistics_of_the_training_split(own_home: Path) -> None:
    train, test = (open_store("synthetic:50", split) for split in ("train", "test"))
    assert (test.mean, test.std, test.covariance) == (train.mean, train.std, train.covariance)
    variances = [line[channel] for channel, line in enumerate(train.covariance)]
    assert variances == pytest.approx([std**2 for std in train.std])
    assert test.sha256 != train.sha256


def test_a_constant_channel_has_a_deviation_that_can_be_divided_by() -> None:
    images = torch.full((2, 8, 8, 3), 51, dtype=torch.uint8)
    mean, std, covariance = channel_statistics(images)
    assert (mean, std) == (pytest.approx((0.2,) * 3), pytest.approx((1 / 255,) * 3))
    assert covariance == ((0, 0, 0),) * 3


def test_preparing_again_changes_nothing_and_changed_data_is_prepared_anew(
    tmp_path: Path, own_home: Path, pictures: Tensor
) -> None:
    path = write_parquet(tmp_path / "set/train.parquet", pictures, LABELS)
    folder = prepare(str(tmp_path / "set"))
    before = (folder / "train.arrow").stat()
    assert prepare(str(tmp_path / "set")) == folder
    after = (folder / "train.arrow").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    write_parquet(path, pictures.flip(0), LABELS)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert torch.equal(open_store(str(tmp_path / "set"), "train").images, pictures.flip(0))


def test_each_image_size_is_a_store_of_its_own(own_home: Path) -> None:
    small, large = (open_store("synthetic:50", "train", side) for side in (16, 32))
    assert (small.images.shape, large.images.shape) == ((50, 16, 16, 3), (50, 32, 32, 3))


def test_many_that_prepare_at_once_read_the_source_once(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    generate = synthetic.generate

    def counted(count: int, side: int) -> Dataset:
        reads.append(count)
        return generate(count, side)

    monkeypatch.setattr(synthetic, "generate", counted)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(prepare, ["synthetic:500"] * 8))
    assert len(set(folders)) == 1
    assert reads == [500]


def test_what_a_killed_process_left_is_replaced(own_home: Path) -> None:
    folder = prepare("synthetic:50")
    half_written = folder.with_name(f"{folder.name}.{platform.node()}.partial")
    folder.rename(half_written)
    (half_written / "train.arrow").write_bytes(b"half")
    assert prepare("synthetic:50") == folder
    assert len(open_store("synthetic:50", "train").images) == 50
    assert {path.parent for path in files_in(own_home)} == {folder}


def test_of_two_hosts_that_the_lock_does_not_keep_apart_the_first_store_stays(
    own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network folder may not pass locks on. Here another host ends while this one still writes."""
    generate, first = synthetic.generate, []

    def generate_slowly(count: int, side: int) -> Dataset:
        with monkeypatch.context() as other:
            other.setattr(synthetic, "generate", generate)
            other.setattr("cifarray.data.store.FileLock", lambda path: contextlib.nullcontext())
            other.setattr(platform, "node", lambda: "another-host")
            first.append((prepare("synthetic:50") / "train.arrow").stat().st_ino)
        return generate(count, side)

    monkeypatch.setattr(synthetic, "generate", generate_slowly)
    folder = prepare("synthetic:50")
    assert [(folder / "train.arrow").stat().st_ino] == first
    assert {path.parent for path in files_in(own_home)} == {folder}
    assert len(open_store("synthetic:50", "train").images) == 50


def test_writing_to_the_tensors_does_not_reach_the_file(own_home: Path) -> None:
    store = open_store("synthetic:50", "train")
    content = store.path.read_bytes()
    store.images.zero_()
    assert store.path.read_bytes() == content


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_fails_half_way_is_one_sentence_and_leaves_nothing(own_home: Path) -> None:
    with file_size_limit(500_000), pytest.raises(DataError, match=r"cannot be written \(.*\): free some space, or set"):
        prepare("synthetic:1000")
    assert files_in(own_home) == []
    assert len(open_store("synthetic:1000", "train").images) == 1000


def test_a_full_disk_is_named(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="No space left on device"):
        prepare("synthetic:50")
    assert files_in(own_home) == []


@pytest.mark.parametrize("damage", ["cut short", "one bit", "empty", "another format"])
def test_a_damaged_store_is_named_with_the_remedy_which_helps(own_home: Path, damage: str) -> None:
    folder = prepare("synthetic:50")
    path = folder / "train.arrow"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(
        {"cut short": data[: len(data) // 2], "one bit": data, "empty": b"", "another format": b"x" * 9999}[damage]
    )
    with pytest.raises(DataError, match=r"train.arrow cannot be read \(.*\): it is damaged, delete the folder"):
        open_store("synthetic:50", "train")
    path.unlink()
    assert len(open_store("synthetic:50", "train").images) == 50


READER = """
import sys
from cifarray.data import open_store

def private_kilobytes():
    lines = open("/proc/self/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

open_store("synthetic:50", "train").images.sum()
before = private_kilobytes()
store = open_store("synthetic", "train")
store.images.view(-1)[::1024].sum(), store.labels.sum()  # every page
print(private_kilobytes() - before, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's account of private memory")
def test_two_more_processes_add_less_than_20_megabytes_of_private_memory_each(cifarray_home: Path) -> None:
    prepare("synthetic:50")
    store = open_store("synthetic", "train")
    assert store.images.nbytes > 30_000_000  # so that a copy would be noticed
    readers = [
        subprocess.Popen([sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert int(reader.stdout.readline()) < 20_000
    finally:
        for reader in readers:
            reader.communicate("")


@pytest.mark.slow
def test_the_real_cifar10_has_its_known_counts_and_statistics(cifar10_folder: Path) -> None:
    train, test = (open_store(str(cifar10_folder), split) for split in ("train", "test"))
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    # The figures of the original pixels that the field uses; a JPEG copy is near them.
    assert train.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.002)
    assert train.std == pytest.approx((0.2470, 0.2435, 0.2616), abs=0.004)
