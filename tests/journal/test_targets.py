"""What a user names after training, where studies were set aside or moved."""

import json

import pytest

from cifarray import storage
from cifarray.journal.targets import where_it_is_now


@pytest.fixture
def study(tmp_path):
    """Makes a study's folder with this id and a checkpoint; the checkpoint's address."""

    def make(name, study_id):
        storage.write_bytes(f"{tmp_path}/{name}/study.json", json.dumps({"id": study_id} if study_id else {}).encode())
        address = f"{tmp_path}/{name}/trial-0000/epoch-0002.pt"
        storage.write_bytes(address, b"")
        return address

    return make


def test_a_checkpoint_is_found_where_its_study_was_set_aside(study):
    """After --fresh another study writes at the address that MLflow was told."""
    now = study("wrn", "new")
    aside = study("wrn.20260101-000000", "old")
    study("wrn.20250101-000000", "older")
    assert where_it_is_now(now, "new") == now
    assert where_it_is_now(now, "old") == aside
    with pytest.raises(ValueError, match="is another study's of that name now"):
        where_it_is_now(now, "forgotten")


def test_a_study_that_does_not_tell_its_id_and_a_file_of_ones_own_are_taken_as_they_are(study, tmp_path):
    address = study("wrn", None)
    assert where_it_is_now(address, "any") == address
    assert where_it_is_now(f"{tmp_path}/mine.pt", "any") == f"{tmp_path}/mine.pt"
