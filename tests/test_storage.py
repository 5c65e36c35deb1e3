"""Addresses: what is said of those that cannot be used, and that a bucket is used like a folder."""

import errno
import json
import os
import socket
import time

import boto3
import pytest
from bucket_server import answering, serving_in_any_weather
from moto.core import set_initial_no_auth_action_count

from cifarray import storage
from cifarray.storage import StorageError


@pytest.fixture
def bucket(s3_server, request):
    """The address of an empty bucket."""
    name = f"bucket-{abs(hash(request.node.name))}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def objects(address):
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    listed = boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


@pytest.fixture
def place(request, tmp_path):
    return request.getfixturevalue("bucket") if request.param == "bucket" else str(tmp_path)


@pytest.mark.parametrize("place", ["folder", "bucket"], indirect=True)
def test_a_bucket_is_used_like_a_folder(place):
    address = storage.join(place, "wrn", "trial-0001", "epoch-0001.pt")
    assert not storage.exists(address)
    assert storage.names(storage.join(place, "wrn")) == []
    storage.write_bytes(address, b"one")
    storage.write_bytes(address, b"two")
    assert storage.read_bytes(address) == b"two"
    assert storage.names(storage.join(place, "wrn", "trial-0001")) == ["epoch-0001.pt"]
    storage.write_bytes(storage.join(place, "wrn", "study.json"), b"{}")
    assert storage.files(storage.join(place, "wrn")) == ["study.json", "trial-0001/epoch-0001.pt"]
    assert storage.files(storage.join(place, "nothing")) == []
    storage.delete(storage.join(place, "wrn", "study.json"))
    storage.move_folder(storage.join(place, "wrn"), storage.join(place, "aside"))
    assert not storage.exists(address)
    moved = storage.join(place, "aside", "trial-0001", "epoch-0001.pt")
    assert storage.read_bytes(moved) == b"two"
    storage.delete(moved)
    storage.delete(moved)
    assert not storage.exists(moved)
    storage.delete_folder(storage.join(place, "aside"))
    storage.delete_folder(storage.join(place, "aside"))
    assert storage.names(place) == []


def test_nothing_but_what_was_written_is_in_the_bucket(bucket):
    storage.write_bytes(f"{bucket}/a/b/c", b"x")
    assert objects(bucket) == ["a/b/c"]


def one_sentence(error):
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 450
    return message


def test_a_bucket_that_does_not_exist_is_told_and_not_made(s3_server):
    with pytest.raises(StorageError) as error:
        storage.refuse_unusable("s3://nobody-made-this/results")
    assert one_sentence(error) == (
        "the bucket 'nobody-made-this' of s3://nobody-made-this/results does not exist: "
        "create it, or give another address"
    )
    with pytest.raises(StorageError, match="cannot be written .*: create the bucket, or give another address"):
        storage.write_bytes("s3://nobody-made-this/results/x", b"x")
    assert boto3.client("s3").list_buckets()["Buckets"] == []


@set_initial_no_auth_action_count(0)
def test_without_a_key_that_the_server_knows_a_bucket_is_of_no_use(bucket):
    for use in (storage.refuse_unusable, storage.names, lambda place: storage.write_bytes(f"{place}/x", b"x")):
        with pytest.raises(
            StorageError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to an account"
        ) as error:
            use(bucket)
        one_sentence(error)


@pytest.mark.parametrize("status", [400, 301], ids=["the session has expired", "the bucket is of another region"])
def test_a_bucket_that_says_no_more_than_a_status_is_not_said_to_be_missing(s3_server, monkeypatch, status):
    with answering(lambda path: (status, "")) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(
            StorageError,
            match=r"s3://there/results cannot be reached \(.*\): check the address, AWS_REGION and the credentials",
        ) as error:
            storage.refuse_unusable("s3://there/results")
    assert "create" not in one_sentence(error)


def test_a_bucket_that_amazon_does_not_find_is_to_be_created(monkeypatch):
    def resolve(address):
        # apache/arrow, cpp/src/arrow/filesystem/s3fs.cc, GetBucketRegionFromError
        raise OSError("Bucket 'none' not found")

    monkeypatch.setattr(storage, "resolve", resolve)
    with pytest.raises(StorageError, match="create the bucket, or give another address"):
        storage.refuse_unusable("s3://none/results")


def test_a_long_name_does_not_hide_that_the_bucket_is_missing(s3_server):
    with pytest.raises(StorageError, match="….*: create the bucket, or give another address"):
        storage.write_bytes(f"s3://nobody-made-this/{'x' * 250}", b"x")


def google(path):
    """What Google's JSON API answers an account with the role Storage Object Admin, and nothing in the bucket."""
    path = path.partition("?")[0]
    if "/b/missing" in path:
        return 404, json.dumps({"error": {"code": 404, "message": "The specified bucket does not exist."}})
    if path.endswith("/b/there/o"):
        return 200, json.dumps({"kind": "storage#objects"})
    if "/b/there/o/" in path:
        return 404, json.dumps({"error": {"code": 404, "message": "No such object"}})
    message = "x does not have storage.buckets.get access to the Google Cloud Storage bucket."
    return 403, json.dumps({"error": {"code": 403, "message": message}})


def test_whoever_may_use_a_bucket_of_google_need_not_be_allowed_to_look_at_it(monkeypatch):
    with answering(google) as url:
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", url)
        storage.refuse_unusable("gs://anonymous@there/results/wrn/journal")
        assert storage.names("gs://anonymous@there/results/wrn/journal") == []
        with pytest.raises(StorageError, match="the bucket 'missing' of gs://.* does not exist: create it"):
            storage.refuse_unusable("gs://anonymous@missing/results/wrn/journal")
        with pytest.raises(StorageError, match="set GOOGLE_APPLICATION_CREDENTIALS to an account that may"):
            storage.refuse_unusable("gs://anonymous@of-others/results/wrn/journal")


@pytest.fixture
def closed_port():
    """A port of this machine where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.slow
def test_a_bucket_that_does_not_answer_is_told_within_seconds(closed_port, s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    begin = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached .*: check the network and AWS_ENDPOINT_URL") as error:
        storage.refuse_unusable("s3://bucket/results")
    assert time.monotonic() - begin < 20
    one_sentence(error)


@pytest.mark.slow
def test_a_bucket_that_takes_four_seconds_for_an_answer_is_waited_for(monkeypatch):
    with serving_in_any_weather() as (_, weather):
        boto3.client("s3").create_bucket(Bucket="results")
        weather.delay = 4.0
        storage.write_bytes("s3://results/slow", b"all of it")
        asked = weather.delayed
        assert storage.read_bytes("s3://results/slow") == b"all of it"
        assert asked <= 3, "nothing was asked twice"


@pytest.mark.nightly
def test_googles_storage_without_an_account_is_told_within_half_a_minute(monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    begin = time.monotonic()
    with pytest.raises(StorageError, match="gs://bucket/results cannot be reached") as error:
        storage.refuse_unusable("gs://bucket/results")
    assert time.monotonic() - begin < 45
    one_sentence(error)


def test_an_address_is_one_however_many_slashes_it_is_written_with():
    # A folder on the driver's disk has its name and cannot tell them apart; keys in a bucket do.
    assert storage.absolute("s3://bucket//results/./wrn//") == "s3://bucket/results/wrn"
    assert storage.absolute("gs://bucket/") == "gs://bucket"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://host/x", "storage 'ftp://host/x' has an unknown scheme: give a folder, or an s3:// or gs:// address"),
        ("s3://", "storage 's3://' names no bucket: give s3://BUCKET or s3://BUCKET/FOLDER"),
        ("s3://b/x#1/y", "storage 's3://b/x#1/y' has a # in it, after which nothing is read: choose another folder"),
        ("s3://b/x?scheme=http", r"has options after the question mark: .*\(AWS_ENDPOINT_URL, AWS_REGION\)"),
    ],
)
def test_an_address_of_another_form_is_refused(address, sentence):
    with pytest.raises(ValueError, match=sentence):
        storage.absolute(address)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space or choose another --storage"),
        (errno.EDQUOT, "free space or choose another --storage"),
        (errno.EROFS, "mount it so that it can be written, or choose another --storage"),
        (errno.EIO, "look at its folder, or choose another --storage"),
    ],
)
def test_a_disk_that_takes_nothing_is_told_with_what_helps_and_nothing_half_written_stays(
    tmp_path, monkeypatch, number, remedy
):
    def fail(file):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(StorageError, match=rf"cannot be written \(.*{os.strerror(number)}\): {remedy}$"):
        storage.write_bytes(str(tmp_path / "x"), b"x")
    assert not list(tmp_path.iterdir())


def test_a_folder_below_a_file_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot be written \(.*\): look at its folder"):
        storage.write_bytes(str(tmp_path / "file" / "x"), b"x")


def away_once(answer):
    """An action whose bucket is away when it is first asked, and what it was asked."""
    asked = []

    def action():
        asked.append(answer)
        if len(asked) == 1:
            raise StorageError("away")
        return answer

    return action, asked


def test_a_bucket_that_is_away_for_a_moment_is_asked_again():
    action, asked = away_once("there")
    assert storage.patiently("s3://b/trial-0001/epoch-0001.pt", action) == "there"
    assert len(asked) == 2


@pytest.mark.parametrize(("address", "seconds"), [("/results/epoch-0001.pt", 60.0), ("s3://b/epoch-0001.pt", 0.0)])
def test_a_full_disk_and_a_bucket_that_stays_away_are_told(address, seconds):
    action, asked = away_once("there")
    with pytest.raises(StorageError, match="away"):
        storage.patiently(address, action, seconds)
    assert len(asked) == 1


@pytest.mark.parametrize("address", ["s3://AKIA1:hush@bucket/results", "gs://me:hush@bucket/results"])
def test_an_address_with_keys_in_it_is_refused_without_showing_them(address):
    for use in (storage.absolute, storage.exists, storage.refuse_keys, lambda where: storage.write_bytes(where, b"")):
        with pytest.raises(
            StorageError, match=r":\*\*\*@bucket/results has keys in it.*: leave them out and set"
        ) as error:
            use(address)
        assert "hush" not in one_sentence(error)


def test_what_a_library_says_of_an_address_is_shown_without_keys(tmp_path, monkeypatch):
    def resolve(address):
        raise OSError("no answer of http://me:hush@minio:9000")

    monkeypatch.setattr(storage, "resolve", resolve)
    with pytest.raises(StorageError, match=r"http://me:\*\*\*@minio:9000"):
        storage.read_bytes("s3://bucket/x")
