"""cluster.yaml and the same for other places: what they say, and what their commands do to a node."""

import os
import re
import shutil
import socket
import subprocess

import pytest
import yaml

from cifarray.cluster_file import checks
from tests.cluster_file.conftest import ROOT

FILE = ROOT / "cluster.yaml"
TEXT = FILE.read_text()
CONFIG = yaml.safe_load(TEXT)
OTHERS = {"google-cloud": "gcp", "on-premises": "local"}
"""The files in clusters/ for `ray up`, and Ray's name of the place."""
TEXTS = {"aws": TEXT, **{name: (ROOT / f"clusters/{name}.yaml").read_text() for name in OTHERS}}
CONFIGS = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
DIFFER = {
    "google-cloud": {"provider", "available_node_types", "initialization_commands", "head_setup_commands"},
    "on-premises": {"provider", "auth", "initialization_commands"},
}
"""The keys that may say something else than in cluster.yaml: where nodes come from and where things are."""
LEFT_OUT = {
    "google-cloud": set(),
    "on-premises": {"max_workers", "idle_timeout_minutes", "head_node_type", "available_node_types"},
}
PLACES = ("CIFARRAY_STORAGE", "CIFARRAY_DATA", "MLFLOW_TRACKING_URI")


def commands(config):
    return [command for key, value in config.items() if key.endswith("commands") for command in value]


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_for_another_place_is_what_ray_takes(name, home):
    prepared = checks.check(CONFIGS[name], name)
    assert prepared["provider"]["type"] == OTHERS[name]


def test_all_own_machines_are_workers(home):
    workers = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    config = CONFIGS["on-premises"] | {"provider": CONFIGS["on-premises"]["provider"] | {"worker_ips": workers}}
    assert checks.check(config, "on-premises")["max_workers"] == 3


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_for_another_place_starts_nodes_as_cluster_yaml_does(name):
    assert set(CONFIG) - set(CONFIGS[name]) == LEFT_OUT[name]
    assert set(CONFIGS[name]) <= set(CONFIG)
    differing = {key for key in CONFIGS[name] if CONFIGS[name][key] != CONFIG[key]}
    assert differing == DIFFER[name], "copy the block from the one file to the other"


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_is_preceded_by_one_comment_and_has_no_other(name):
    lines = TEXTS[name].splitlines()
    node_types = "|".join(CONFIGS[name].get("available_node_types", ["none"]))
    blocks = [i for i, line in enumerate(lines) if re.match(rf"[a-z_]+:|  ({node_types}):", line)]
    assert all(lines[i - 1].lstrip().startswith("# ") for i in blocks)
    comments = [i for i, line in enumerate(lines) if line.lstrip().startswith("#")]
    first_lines = [i for i in comments if i - 1 not in comments]
    assert len(first_lines) == len(blocks) + 1  # the file's own
    assert not re.search(r"\S +# ", TEXTS[name])


def test_nothing_runs_that_nobody_asked_for():
    types = CONFIG["available_node_types"]
    assert [types[name]["min_workers"] for name in ("gpu_spot", "gpu_on_demand")] == [0, 0]
    assert types["head"]["resources"] == {"CPU": 0}
    assert CONFIG["idle_timeout_minutes"] > 0


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_token_is_mounted_and_no_secret_is_in_the_file(config):
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    text = yaml.safe_dump(config)
    # AWS key ids, private keys, 256-bit tokens in hex, assignments to what is named like a secret.
    assert not re.search(r"AKIA|PRIVATE KEY|[0-9a-f]{32,}|(?i:password|secret|token) *[=:] *[^~\s]{12,}", text)
    assert "RAY_AUTH_TOKEN" not in text


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_where_things_are_is_said_in_one_place_before_everything_else(config):
    for name in PLACES:
        assert [name in command for command in commands(config)].count(True) == 1
        assert f"export {name}=" in config["initialization_commands"][0]


def test_every_local_source_is_mounted_that_an_installation_needs():
    mounted = {source.removeprefix("./") for source in CONFIG["file_mounts"].values()}
    assert {"cifarray", "jobs", "search_spaces", "pyproject.toml", "Makefile", "README.md", "LICENSE"} <= mounted
    assert "constraints.txt" in mounted
    # Ray reads all of a mount at every start, and a .venv has gigabytes.
    assert "." not in mounted


@pytest.fixture
def node(tmp_path):
    """Runs commands as Ray does on a node, whose home is an empty folder, and says what they printed."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("not-a-secret")
    (tmp_path / "cifarray/.venv/bin").mkdir(parents=True)

    def run(*commands, **variables):
        text = "\n".join(f"({command})" for command in commands)
        environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], **variables}
        return subprocess.run(["bash", "-c", text], env=environment, capture_output=True, text=True, check=False)

    run.home = tmp_path
    return run


def fake(node, name, script):
    file = node.home / "cifarray/.venv/bin" / name
    file.write_text(f"#!/bin/bash\n{script}\n")
    file.chmod(0o755)


def test_a_login_shell_of_a_node_has_the_variables_after_any_number_of_set_ups(node):
    first = [*CONFIG["initialization_commands"], CONFIG["setup_commands"][0]]
    assert node(*first, *first).returncode == 0
    shell = (node.home / ".bashrc").read_text()
    assert shell.count("cifarray.env") == 1
    printed = node(f'. ~/.bashrc; echo "$RAY_AUTH_MODE {" ".join(f"${name}" for name in PLACES)}"; echo $PATH').stdout
    assert printed.splitlines()[0] == "token s3://YOUR-BUCKET/results cifar10 http://127.0.0.1:5000"
    assert printed.splitlines()[1].split(":")[0] == str(node.home / "cifarray/.venv/bin")
    assert (node.home / "cifarray.env").read_text().count("RAY_AUTH_MODE") == 1


def test_the_token_is_its_users_alone(node):
    assert node(CONFIG["initialization_commands"][0], CONFIG["setup_commands"][0]).returncode == 0
    assert (node.home / ".ray/auth_token").stat().st_mode & 0o777 == 0o600


def test_nothing_is_installed_where_the_stamp_is_newer_than_project_and_pins(node):
    project = node.home / "cifarray"
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (project / name).write_bytes((ROOT / name).read_bytes())
    for stamp in (".installed", ".installed-head-aws"):
        (project / ".venv" / stamp).touch()
    fake(node, "python", 'echo "python $*"')
    done = node(CONFIG["setup_commands"][1], CONFIG["head_setup_commands"][0])
    assert (done.returncode, done.stderr) == (0, "")
    installed, compiled, head = done.stdout.splitlines()
    assert installed.endswith("Nothing to be done for 'install'.")
    assert compiled == "python -m compileall -q cifarray jobs search_spaces"
    assert head.endswith("Nothing to be done for 'install-head'.")


def test_an_installation_that_fails_fails_the_set_up(node):
    (node.home / "cifarray/Makefile").write_text("install:\n\tfalse\n")
    (node.home / "cifarray/.venv/.installed").touch()
    assert node(CONFIG["setup_commands"][1]).returncode != 0


@pytest.mark.parametrize("missing", ["make", "cc", "python3", None])
def test_system_packages_are_installed_where_any_of_them_is_missing(node, missing):
    """A python3 that fails has no ensurepip, or no Python.h."""
    programs = node.home / "bin"
    programs.mkdir()
    (programs / "bash").symlink_to(shutil.which("bash"))
    for name, script in (("sudo", 'echo "$*"'), ("make", ":"), ("cc", ":"), ("python3", ":")):
        if name != missing:
            (programs / name).write_text(f"#!/bin/bash\n{script}\n")
            (programs / name).chmod(0o755)
    fake(node, "python", ":")
    done = node(CONFIG["setup_commands"][1], PATH=str(programs))
    assert done.returncode == 0 or missing == "make", done.stderr
    assert ("install --quiet --yes make gcc" in done.stdout) == (missing is not None)


def test_ray_starts_in_the_project_with_the_variables_and_all_cores(node):
    fake(node, "ray", 'echo "$* in $PWD with $CIFARRAY_STORAGE $RAY_AUTH_MODE ${OMP_NUM_THREADS:-no limit}"')
    (node.home / "cifarray/Makefile").write_text("start-mlflow:\n\t@echo mlflow\n")
    node(CONFIG["initialization_commands"][0], CONFIG["setup_commands"][0])
    # Ray itself exports these to every command.
    done = node(CONFIG["head_start_ray_commands"][0], OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stderr
    *_, mlflow, stop, start = done.stdout.splitlines()
    where = f"in {node.home}/cifarray with s3://YOUR-BUCKET/results token no limit"
    assert (mlflow, stop) == ("mlflow", f"stop {where}")
    assert start.startswith("start --head --port=6379 --dashboard-host=127.0.0.1")
    assert start.endswith(where)


def test_a_worker_that_cannot_reach_the_head_says_so_and_starts_nothing(node):
    fake(node, "ray", 'echo "ray $*"')
    fake(node, "timeout", 'shift; exec /usr/bin/timeout 1 "$@"')
    (node.home / "cifarray.env").write_text(f'export PATH="{node.home}/cifarray/.venv/bin:$PATH"')
    # 192.0.2.0/24 is set aside for documentation (RFC 5737): nothing answers there.
    done = node("export RAY_HEAD_IP=192.0.2.1; " + CONFIG["worker_start_ray_commands"][0])
    assert done.returncode == 1
    assert "ray start" not in done.stdout
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("head 192.0.2.1:6379 does not answer from ")
    assert "open it between the nodes" in sentence


def test_a_worker_that_reaches_the_head_joins_it_and_is_told_of_notices(node):
    fake(node, "ray", 'echo "ray $*"')
    fake(node, "python", 'echo "python $*" > ~/started')
    (node.home / "cifarray.env").write_text(f'export PATH="{node.home}/cifarray/.venv/bin:$PATH"')
    with socket.create_server(("127.0.0.1", 0)) as head:
        port = head.getsockname()[1]
        command = CONFIG["worker_start_ray_commands"][0].replace("6379", str(port)) + "wait"
        done = node(f"export RAY_HEAD_IP=127.0.0.1; {command}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["ray stop", f"ray start --address=127.0.0.1:{port}"]
    assert (node.home / "started").read_text() == f"python -m cifarray.cluster_file spot 127.0.0.1:{port}\n"


@pytest.mark.parametrize("key", ["setup_commands", "head_setup_commands", "head_start_ray_commands"])
def test_a_command_ends_at_the_first_thing_that_fails(node, key):
    fake(node, "ray", 'echo "ray $*"')
    (node.home / "cifarray.env").write_text(f'export PATH="{node.home}/cifarray/.venv/bin:$PATH"')
    (node.home / "cifarray/Makefile").write_text("install install-head start-mlflow:\n\t@echo made; false\n")
    (node.home / "cifarray/.venv/.installed").touch()
    (node.home / ".ray/auth_token").unlink()
    for command in CONFIG[key]:
        done = node(command)
        assert done.returncode != 0
        assert done.stdout in ("", "made\n")
    assert "RAY_AUTH_MODE" not in (node.home / "cifarray.env").read_text()
