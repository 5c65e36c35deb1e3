"""What a data source is called, without torch."""

import subprocess
import sys

import pytest

from cifarray.data import DataError, known_size, open_store, resolve, split_indices, split_sizes
from cifarray.data.names import hidden_folder


def test_known_names_are_looked_at_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from cifarray.data import known_size, resolve\nassert resolve('cifar10') and known_size('cifar100') == 50_000"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("source", "meant"), [("cifar1O", "did you mean cifar10"), ("sythetic", "did you mean synthetic"), ("x", "choose")]
)
def test_a_name_that_is_none_is_answered_with_the_nearest(source, meant):
    with pytest.raises(DataError, match=f"data '{source}' is neither a known name nor a folder: {meant}"):
        resolve(source)


def test_the_training_images_of_known_names_are_known(tmp_path):
    assert known_size("cifar10") == 50_000  # Krizhevsky 2009
    assert known_size("synthetic:400") == len(open_store("synthetic:400", "train").labels) == 400
    assert known_size("synthetic") == 10_000
    assert known_size(str(tmp_path)) is None


@pytest.mark.parametrize("limit", [None, 10, 10_000])
@pytest.mark.parametrize("validation", [0, 0.001, 0.1, 0.33, 7])
def test_sizes_of_a_split_are_those_of_the_split(validation, limit):
    labels = open_store("synthetic:400", "train").labels
    train, held_out = split_indices(labels, validation, limit)
    assert split_sizes(400, validation, limit) == (len(train), len(held_out))


def test_a_folder_that_has_a_known_name_is_named_with_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hidden_folder("cifar10") == ""
    (tmp_path / "cifar10").mkdir()
    assert "not the folder here, which is ./cifar10" in hidden_folder("cifar10")
    assert hidden_folder("./cifar10") == ""
    assert resolve("cifar10") == "cifar10"
    assert resolve("./cifar10") == str(tmp_path / "cifar10")
