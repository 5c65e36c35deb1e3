"""The hosts themselves: what they share and what they do not."""

import subprocess
from pathlib import Path

import pytest
from hosts import NETWORK, network

pytestmark = pytest.mark.cluster


def test_a_host_sees_neither_the_files_nor_the_processes_of_another(hosts):
    hosts["head"].run("touch ~/mine /tmp/mine /dev/shm/mine; sleep 1000 > /dev/null 2>&1 &")
    assert hosts["worker-1"].run("ls ~/mine /tmp/mine /dev/shm/mine", check=False).count("No such file") == 3
    assert "sleep 1000" not in hosts["worker-1"].run("ps ax")
    assert "sleep 1000" in hosts["head"].run("ps ax; pkill sleep; rm ~/mine /tmp/mine /dev/shm/mine")


def test_what_is_mounted_is_shared_and_the_system_cannot_be_written(hosts):
    hosts["head"].run("touch /mnt/cifarray/ours")
    hosts["worker-1"].run("rm /mnt/cifarray/ours")
    assert "Read-only file system" in hosts["head"].run("touch /usr/mine /etc/mine .venv/mine", check=False)


def test_only_the_network_of_the_hosts_can_be_reached(hosts):
    assert hosts["laptop"].run("ip -brief -4 address").split()[2::3] == ["127.0.0.1/8", f"{NETWORK}.11/24"]
    assert "SSH-2.0" in hosts["laptop"].run("exec 3<>/dev/tcp/worker-2/22; head -n 1 <&3")
    with pytest.raises(AssertionError, match="No route to host"):
        hosts["laptop"].run("exec 3<>/dev/tcp/192.0.2.1/80")


def test_hosts_leave_nothing_behind(hosts, tmp_path):
    """Beside the others, on addresses of their own switch."""
    with network(tmp_path, ["one", "two"], []) as pair:
        pair["one"].run("touch ~/file; sleep 1000 > /dev/null 2>&1 &")
        ids = [number for host in pair.values() for number in (host.process.pid, *host.processes())]
        pair["two"].delete()
        names = [host.namespace for host in pair.values()]
    assert not [number for number in ids if Path(f"/proc/{number}").exists()]
    namespaces = subprocess.run(["ip", "netns"], check=True, capture_output=True, text=True).stdout
    assert not [name for name in names if name in namespaces]
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert not list((tmp_path / "one").iterdir())
