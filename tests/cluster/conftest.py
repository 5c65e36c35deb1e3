"""A laptop, a head, two workers and the file that makes them a cluster; skipped where there can be no hosts."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hosts import PROJECT, Host, network, why_not
from laptop import LAPTOP, start

from cifarray.data.synthetic import generate
from tests.data.source_files import write_parquet

TRAIN_IMAGES = 2000


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all hosts mount at /mnt/cifarray, as a network folder would be: for results, and images."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def images(shared: Path) -> str:
    """Pictures as Parquet files in the shared folder; where the hosts see them."""
    made = generate(TRAIN_IMAGES, 32)
    assert made.test is not None
    for split, part in (("train", made.train), ("test", made.test)):
        write_parquet(shared / "images" / f"{split}.parquet", part.images, part.labels.tolist())
    return "/mnt/cifarray/images"


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Iterator[dict[str, Host]]:
    """All running, strangers to each other; the laptop has the project and may log in."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    with network(folder, ["laptop", "head", "worker-1", "worker-2"], [(shared, "/mnt/cifarray")]) as running:
        laptop = running["laptop"]
        copy_project(laptop)
        laptop.run("ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519", RAY_AUTH_MODE="token")
        key = (laptop.root / "root/.ssh/id_ed25519.pub").read_text()
        for host in running.values():
            (host.root / "run/sshd/authorized_keys").write_text(key)
        yield running


def copy_project(host: Host) -> None:
    """What git would bring, as it is now."""
    tracked = ["git", "-C", str(PROJECT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(tracked, check=True, capture_output=True).stdout
    # tar, since rsync from 3.5 on follows no /proc/PID/root.
    pack = ["tar", "--create", "--directory", str(PROJECT), "--null", "--files-from", "-"]
    packed = subprocess.run(pack, input=files, check=True, capture_output=True).stdout
    subprocess.run(["tar", "--extract", "--directory", f"{host.root}{PROJECT}"], input=packed, check=True)


@pytest.fixture(scope="session")
def cluster_file(hosts: dict[str, Host], images: str) -> str:
    """clusters/on-premises.yaml with these hosts filled in, on the laptop; its name there."""
    config = yaml.safe_load((PROJECT / "clusters/on-premises.yaml").read_text())
    workers = [host.address for name, host in hosts.items() if name.startswith("worker")]
    config["provider"] |= {"head_ip": hosts["head"].address, "worker_ips": workers}
    config["auth"]["ssh_user"] = "root"
    environment = config["initialization_commands"][0]
    config["initialization_commands"] = [environment.replace("CIFARRAY_DATA=cifar10", f"CIFARRAY_DATA={images}")]
    name = "machines.yaml"
    (hosts["laptop"].root / "root/cifarray" / name).write_text(yaml.safe_dump(config))
    return name


@pytest.fixture(scope="session")
def cluster(hosts: dict[str, Host], cluster_file: str) -> Iterator[None]:
    """`ray up` on the laptop, and the tunnels to the dashboard and to MLflow."""
    laptop = hosts["laptop"]
    laptop.run("ray get-auth-token --generate", **LAPTOP)
    laptop.run(f"ray up --yes {cluster_file}", timeout=300, **LAPTOP)
    tunnels = [
        start(laptop, f"exec ray dashboard {cluster_file}"),
        start(laptop, f"exec ray dashboard {cluster_file} --port 5000 --remote-port 5000"),
    ]
    yield
    for tunnel in tunnels:
        tunnel.terminate()
        tunnel.wait()
