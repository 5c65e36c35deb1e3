"""Ending Ray on own machines: which are told, and what is said of one that is not reached. The real end of it is in
tests/cluster."""

import pytest
import yaml

from cifarray.cluster_file import own_machines
from cifarray.cluster_file.checks import ClusterFileError


@pytest.fixture
def bootstrap(tmp_path):
    path = tmp_path / "ray_bootstrap_config.yaml"
    provider = {"type": "local", "head_ip": "192.0.2.10", "worker_ips": ["192.0.2.11", "192.0.2.12"]}
    path.write_text(yaml.safe_dump({"provider": provider, "auth": {"ssh_user": "me", "ssh_private_key": "~/key"}}))
    return path


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """An ssh that writes down what it is asked and cannot reach .12, and a ray that only writes down."""
    log = tmp_path / "log"
    folder = tmp_path / "bin"
    folder.mkdir()
    unreachable = "case $* in *192.0.2.12*) echo 'no route to it' >&2; exit 255;; esac"
    for name, more in (("ssh", unreachable), ("ray", ":")):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n{more}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setattr(own_machines.sys, "executable", str(folder / "python"))
    return log


def test_the_head_is_ended_first_and_then_every_worker(bootstrap, programs):
    told = own_machines.stop(bootstrap)
    first, *others = programs.read_text().splitlines()
    assert first == "ray stop"
    assert sorted(line.split("me@")[1] for line in others) == [
        f"192.0.2.{number} . ~/cifarray.env && ray stop" for number in (11, 12)
    ]
    assert told == ["Ray may still run on 192.0.2.12 (no route to it): run `ray stop` there"]


@pytest.mark.parametrize("text", [None, "provider: {type: aws}", "- a list"])
def test_elsewhere_than_on_such_a_head_it_is_refused_and_nothing_ends(tmp_path, programs, text):
    path = tmp_path / "none.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ClusterFileError, match="run it on the head that `ray up` made of your own ones"):
        own_machines.stop(path)
    assert not programs.exists()
