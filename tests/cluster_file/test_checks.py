"""What is wrong with a cluster file is one sentence: the value, the rule, the remedy."""

from pathlib import Path

import pytest
import yaml

from cifarray.cluster_file import checks
from cifarray.cluster_file.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(home):
    return checks.read(ROOT / "cluster.yaml")


def told(config):
    with pytest.raises(checks.ClusterFileError) as error:
        checks.check(config, "cluster.yaml")
    return str(error.value)


def test_the_file_is_what_ray_takes(config):
    checks.check(config, "cluster.yaml")


def test_an_unknown_field_is_named_with_the_one_that_was_meant(config):
    assert told(config | {"max_worker": 3}) == (
        "cluster.yaml: 'max_worker' is no field of a cluster file: did you mean max_workers?"
    )


def test_an_unknown_field_within_a_node_type_is_named_with_its_place(config):
    config["available_node_types"]["gpu_spot"]["max_nodes"] = 3
    assert "'max_nodes' is no field of available_node_types.gpu_spot: " in told(config)


def test_a_field_of_the_wrong_kind_is_named(config):
    assert told(config | {"max_workers": "many"}).startswith("cluster.yaml: max_workers is not as Ray wants it ('many'")


def test_a_missing_key_file_says_what_it_is_for_and_how_to_make_one(config):
    config["auth"]["ssh_private_key"] = "~/.ssh/nowhere.pem"
    assert told(config) == (
        "cluster.yaml: auth.ssh_private_key ~/.ssh/nowhere.pem does not exist: Ray logs in to nodes with that file; "
        "name the private key that they know, or make one with ssh-keygen"
    )


def test_a_missing_token_says_how_to_make_it(config, home):
    (home / ".ray/auth_token").unlink()
    assert told(config).endswith("every node needs the same one; make it with ray get-auth-token --generate")


def test_a_mount_of_a_folder_that_is_not_there_is_named(config):
    config["file_mounts"]["~/elsewhere"] = "./elsewhere"
    assert f"file_mounts ~/elsewhere: ./elsewhere does not exist in {ROOT}" in told(config)


def test_a_rule_of_ray_beyond_its_schema_is_passed_on(config):
    config["head_node_type"] = "nobody"
    assert "`head_node_type` must be one of `available_node_types`" in told(config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_workers: [", "is not YAML"),
        ("just words", "has no top-level keys"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_is_no_cluster_file_is_one_sentence(tmp_path, text, words):
    file = tmp_path / "broken.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(checks.ClusterFileError, match=r"^[^\n]+$") as error:
        checks.read(file)
    assert words in str(error.value)


def test_what_stands_for_a_name_of_ones_own_is_found_once_and_nothing_else():
    assert checks.placeholders((ROOT / "cluster.yaml").read_text()) == ["YOUR-BUCKET"]
    assert checks.placeholders("user: YOU\na: gs://YOUR-BUCKET/x YOUR-PROJECT YOUR-PROJECT\n# YOURS, your-bucket") == [
        "YOU",
        "YOUR-BUCKET",
        "YOUR-PROJECT",
    ]


@pytest.mark.parametrize("change", [{"max_worker": 3}, {"auth": {"ssh_user": "u", "ssh_private_key": "/nowhere.pem"}}])
def test_the_command_ends_with_2_and_one_line(home, tmp_path, monkeypatch, capsys, change):
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(checks.read(ROOT / "cluster.yaml") | change))
    monkeypatch.setattr("sys.argv", ["cluster_file", "check", str(file)])
    assert main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
