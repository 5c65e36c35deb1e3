"""Hosts to test with: namespaces with an address, processes, files and a name of their own, joined by one switch.

What a host is inside is `host.sh`. Not here: what runs on them (`conftest`).
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]
NETWORK = "198.51.100"
"""The first three bytes of all addresses; the range is set aside for documentation (RFC 5737), so it leads nowhere."""
TOOLS = ("ip", "ss", "unshare", "nsenter", "sshd", "ssh", "ssh-keygen", "rsync", "curl", "ps", "pkill")


def why_not() -> str | None:
    """One line that says why there can be no hosts here, or None."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
    missing = [tool for tool in TOOLS if not shutil.which(tool, path=path)]
    if os.geteuid() != 0:
        return "hosts in network namespaces need root"
    if missing:
        packages = "iproute2 openssh-server rsync curl util-linux procps"
        return f"{', '.join(missing)} not found: apt-get install {packages}"
    attempt = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        check=False,
        capture_output=True,
        text=True,
    )
    return f"no namespaces can be made here: {attempt.stderr.strip()}" if attempt.returncode else None


@dataclass
class Host:
    """A machine, as far as its processes can tell."""

    name: str
    address: str
    namespace: str
    switch: str
    """The namespace of what it is plugged into."""
    process: subprocess.Popen[bytes]
    pid: int
    """Of its first process; all others end with it."""

    @property
    def root(self) -> Path:
        """Its file system, seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def command(self, script: str, **environment: str) -> list[str]:
        """The command that runs a bash script on the host, in its ~/cifarray, as its user would."""
        variables = {
            "HOME": "/root",
            "USER": "root",
            "TERM": "dumb",
            "PATH": f"{PROJECT}/.venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **environment,
        }
        assignments = [f"{name}={value}" for name, value in variables.items()]
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--uts", "--ipc", "--root"]
        return [*enter, "env", "-i", f"--chdir={PROJECT}", *assignments, "bash", "-c", script]

    def run(self, script: str, timeout: float = 60.0, check: bool = True, **environment: str) -> str:
        """Runs a script on the host to its end; its output, errors among it."""
        result = subprocess.run(
            self.command(script, **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"on {self.name}: {script}\nexit code {result.returncode}\n{result.stdout}")
        return result.stdout

    def processes(self) -> dict[int, str]:
        """Command lines of the host's processes by their ids outside."""
        own = os.stat(f"/proc/{self.pid}/ns/pid").st_ino
        found = {}
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if folder.name.isdigit() and os.stat(folder / "ns" / "pid").st_ino == own:
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def unplug(self) -> None:
        """As if its network cable were pulled: nothing goes in or out, and nobody is told."""
        _ip("-n", self.switch, "link", "set", f"to-{self.name}", "down")

    def plug_in(self) -> None:
        """The end of `unplug`."""
        _ip("-n", self.switch, "link", "set", f"to-{self.name}", "up")

    def delete(self) -> None:
        """As if its plug were pulled: every process is killed, its files are gone and nothing answers any more."""
        # The link first, or the kernel would still say goodbye to the other hosts.
        subprocess.run(["ip", "netns", "exec", self.namespace, "ip", "link", "del", "eth0"], check=False)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        subprocess.run(["ip", "netns", "del", self.namespace], check=False)


@contextlib.contextmanager
def network(folder: Path, names: Sequence[str], shares: Sequence[tuple[Path, str]]) -> Iterator[dict[str, Host]]:
    """Hosts with these names on one switch; deleted at the end.

    folder: empty, for what the hosts are made of; shares: folders here and where each host sees them.
    """
    prefix = f"cifarray-{os.getpid()}-{uuid.uuid4().hex[:4]}"
    addresses = {name: f"{NETWORK}.{number}" for name, number in zip(names, itertools.count(11))}
    (folder / "hosts").write_text(
        "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in addresses.items())
    )
    switch = f"{prefix}-switch"
    hosts: dict[str, Host] = {}
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        for name, address in addresses.items():
            hosts[name] = _start(name, address, f"{prefix}-{name}", switch, folder, shares)
        yield hosts
    finally:
        for host in hosts.values():
            if host.process.poll() is None:
                host.delete()
        subprocess.run(["ip", "netns", "del", switch], check=False)


def _start(
    name: str, address: str, namespace: str, switch: str, folder: Path, shares: Sequence[tuple[Path, str]]
) -> Host:
    _ip("netns", "add", namespace)
    _ip("link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", f"to-{name}", "netns", switch)
    _ip("-n", switch, "link", "set", f"to-{name}", "master", "switch", "up")
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", namespace, "link", "set", device, "up")
    # Ray asks for the way to an address far away to learn its own; nobody answers there.
    _ip("-n", namespace, "route", "add", "default", "dev", "eth0")
    root = folder / name
    root.mkdir()
    log = folder / f"{name}.log"
    options = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    script = [str(Path(__file__).with_name("host.sh")), name, str(root), str(PROJECT), sys.base_prefix]
    command = ["ip", "netns", "exec", namespace, "unshare", *options, *script, str(folder / "hosts")]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [*command, *(f"{source}={target}" for source, target in shares)], stdout=output, stderr=output
        )
    deadline = time.monotonic() + 30
    while True:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children and Path(f"/proc/{children[0]}/root/run/up").exists():
            return Host(name, address, namespace, switch, process, int(children[0]))
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"host {name} does not come up: {log.read_text()}")
        time.sleep(0.02)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
