"""What `ray up cluster.yaml` launches, by Ray's own launcher at an AWS on loopback."""

import io
import os
import socket

import pytest
import yaml
from rich.console import Console

from cifarray.cluster_file import checks, launch
from cifarray.cluster_file.__main__ import show
from tests.cluster_file.conftest import ROOT


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """As the file is; with credentials and an endpoint in the environment that nobody may use."""
    with socket.create_server(("127.0.0.1", 0)) as trap, pytest.MonkeyPatch.context() as patch:
        trap.setblocking(False)
        where = f"http://127.0.0.1:{trap.getsockname()[1]}"
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL_IAM", "HTTP_PROXY", "http_proxy"):
            patch.setenv(name, where)
        patch.setenv("AWS_PROFILE", "a-users-own")
        found = launch.launch(ROOT / "cluster.yaml")
        with pytest.raises(BlockingIOError):
            trap.accept()
        assert not os.listdir(os.environ["HOME"])
    return found


@pytest.fixture(scope="module")
def nodes(launched):
    return {node.node_type: node for node in launched.nodes}


def test_the_head_is_on_demand_and_workers_are_both(nodes):
    assert {name: node.market for name, node in nodes.items()} == {
        "head": "on-demand",
        "gpu_on_demand": "on-demand",
        "gpu_spot": "spot",
    }


def test_workers_are_of_the_g_family_and_the_head_is_not(nodes):
    assert nodes["gpu_spot"].instance_type == nodes["gpu_on_demand"].instance_type
    assert nodes["gpu_spot"].instance_type.startswith("g")
    assert not nodes["head"].instance_type.startswith(("g", "p"))


def test_no_volume_outlives_its_node_and_goes_on_costing(nodes):
    kept = {name: [volume.outlives_node for volume in node.volumes] for name, node in nodes.items()}
    assert kept == {"head": [False], "gpu_on_demand": [False], "gpu_spot": [False]}


def test_the_world_reaches_ssh_and_nothing_else(launched):
    from_outside = [rule for rule in launched.rules if "/" in rule.source]
    assert [(rule.protocol, rule.ports, rule.source) for rule in from_outside] == [("tcp", "22", "0.0.0.0/0")]


def test_nodes_are_in_one_group_and_reach_each_other(launched, nodes):
    assert {node.groups for node in nodes.values()} == {("cifarray",)}
    inside = [rule for rule in launched.rules if "/" not in rule.source]
    assert [(rule.group, rule.protocol, rule.source) for rule in inside] == [("cifarray", "-1", "cifarray")]


def test_every_node_may_use_the_bucket_and_can_be_logged_in_to(nodes):
    assert {name: node.profile for name, node in nodes.items()} == {
        "head": "cifarray-head",
        "gpu_on_demand": "cifarray-worker",
        "gpu_spot": "cifarray-worker",
    }
    assert all(node.key for node in nodes.values())


def test_workers_have_nvidias_image(nodes):
    for name in ("gpu_spot", "gpu_on_demand"):
        assert "/deeplearning/" in nodes[name].image
        assert "nvidia-driver" in nodes[name].image


def test_a_field_that_ec2_does_not_know_is_one_sentence(tmp_path):
    file = tmp_path / "changed.yaml"
    file.write_text((ROOT / "cluster.yaml").read_text().replace("MarketType: spot", "MarketKind: spot"))
    with pytest.raises(checks.ClusterFileError, match=r"^[^\n]+ is refused at launch \([^\n]*MarketKind[^\n]*$"):
        launch.launch(file)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file with what a user has of their own at AWS."""
    config = checks.read(ROOT / "cluster.yaml")
    config["auth"]["ssh_private_key"] = "~/.ssh/id_ed25519"
    mine = {
        "IamInstanceProfile": {"Arn": "arn:aws:iam::111122223333:instance-profile/ours/nodes"},
        "SubnetIds": ["subnet-0a1b2c3d"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
        "KeyName": "ours",
        "ImageId": "ami-0123456789abcdef0",
    }
    for node_type in config["available_node_types"].values():
        node_type["node_config"] |= mine
    file = tmp_path_factory.mktemp("own") / "own.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.fixture(scope="module")
def own_launched(own):
    return launch.launch(own)


def test_what_only_its_users_aws_knows_is_left_out_and_told(own, own_launched, home, capsys):
    assert {node.profile for node in own_launched.nodes} == {"nodes"}
    assert own_launched.left_out == ("SubnetIds", "SecurityGroupIds")
    show(own_launched, checks.check(checks.read(own), "own.yaml"), Console(width=120))
    assert "tried without your own SubnetIds and SecurityGroupIds" in capsys.readouterr().out


def test_a_key_pair_and_an_image_of_ones_own_are_taken_as_they_are(own_launched):
    assert {(node.key, node.image) for node in own_launched.nodes} == {("ours", "ami-0123456789abcdef0")}


def test_the_tables_say_what_is_launched_and_what_is_let_in(launched, monkeypatch, tmp_path):
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)
    console = Console(width=120, record=True, file=io.StringIO())
    show(launched, checks.check(checks.read(ROOT / "cluster.yaml"), "cluster.yaml"), console)
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines() if "│" in line
    ]
    assert ["gpu_spot", "g6.2xlarge", "spot", "0 to 8", "150 GiB gp3", "cifarray-worker"] in rows
    assert ["head", "m7i.xlarge", "on-demand", "1", "100 GiB gp3", "cifarray-head"] in rows
    assert ["cifarray", "tcp", "22", "0.0.0.0/0"] in rows
