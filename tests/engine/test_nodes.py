"""What a node lacks is told in a sentence before a study begins: real nodes, of which one differs."""

import contextlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from many_nodes import growing_head, wait_until

import cifarray
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.nodes import missing, node_requirements, refuse_what_new_nodes_lack
from cifarray.engine.orders import GroupSettings, NodeRequirements
from cifarray.engine.train_run import make_trainer
from cifarray.engine.versions import versions
from cifarray.errors import StudyError
from cifarray.storage import StorageError

RAY = str(Path(sys.executable).parent / "ray")


@pytest.fixture
def needs(tmp_path, monkeypatch):
    """What this very process has."""
    monkeypatch.setattr("cifarray.engine.nodes._code", lambda: ("this node", "/here"))
    (tmp_path / "study.json").write_text("{}")
    return NodeRequirements(versions(), str(tmp_path / "study.json"))


def test_a_node_that_has_everything_lacks_nothing(needs, tmp_path):
    assert missing(replace(needs, paths=(str(tmp_path),))) is None


def test_storage_that_is_not_shared_is_told_with_what_to_use_instead(needs, tmp_path):
    told = missing(replace(needs, marker=str(tmp_path / "wrn" / "probe")))
    assert told == (
        f"does not see the driver's files in {tmp_path}/wrn: give a --storage that all nodes share "
        "(a network folder mounted on each, or an s3:// or gs:// address)"
    )


def test_a_bucket_in_which_the_drivers_files_are_not_is_told(needs, s3_server):
    told = missing(replace(needs, marker="s3://nobody-made-this/wrn/probe"))
    assert told == (
        "does not find the driver's files in s3://nobody-made-this/wrn: it reaches another storage of that name; "
        "give all nodes the same AWS_ENDPOINT_URL and account"
    )


def test_a_storage_that_is_away_for_a_moment_is_waited_for(needs, monkeypatch):
    asked = []

    def exists(address):
        asked.append(address)
        if len(asked) < 2:
            raise StorageError("s3://b/wrn/probe cannot be reached")
        return True

    monkeypatch.setattr("cifarray.storage.exists", exists)
    needs = replace(needs, marker="s3://b/wrn/probe")
    assert missing(needs) == "cannot use the storage: s3://b/wrn/probe cannot be reached"
    asked.clear()
    assert missing(needs, patience=60) is None


@pytest.mark.parametrize(
    ("now", "refused"),
    [
        (Cluster((Node(0),), True, (Node(0),), (Node(8, 1),), 1), True),
        (Cluster((Node(0),), True, (Node(0),), None, 1), False),
        (Cluster((Node(8, 1),)), False),
    ],
    ids=["a cloud adds nodes", "own machines are to come", "one machine"],
)
def test_results_on_the_heads_own_disk_are_refused_where_nodes_will_be_added(make_study, monkeypatch, now, refused):
    study = make_study()
    monkeypatch.setattr(Path, "stat", lambda path, **kwargs: os.stat("/"))
    with (
        pytest.raises(StudyError, match="own disk, and nodes that the cluster adds do not see it")
        if refused
        else (contextlib.nullcontext())
    ):
        refuse_what_new_nodes_lack(study, now)


def test_local_data_that_is_not_there_is_told(needs):
    told = missing(replace(needs, paths=("/no/such/pictures",)))
    assert told == "does not have /no/such/pictures: copy it there, or give a place that all nodes share"


def test_older_code_is_told_unless_it_is_the_drivers_own_folder(needs):
    older = {**versions(), "cifarray": "0.1.0+00000000"}
    told = missing(replace(needs, versions=older))
    assert told.startswith(f"runs cifarray {versions()['cifarray']}, the driver cifarray 0.1.0+00000000: ")
    # Edited since the driver began: its workers still run from the same files.
    assert missing(replace(needs, versions=older, code=("this node", "/here"))) is None
    assert missing(replace(needs, versions={**older, "torch": "2.0.0"}, code=("this node", "/here"))) is not None


def test_local_data_and_teachers_are_what_every_node_must_have(make_study, tmp_path, monkeypatch):
    monkeypatch.setattr("cifarray.engine.nodes._code", lambda: ("", ""))
    study = make_study(fixed={"distillation.teacher": "/results/wrn/trial-0001/epoch-0003.pt"})
    assert node_requirements(study).paths == ("/results/wrn/trial-0001/epoch-0003.pt",)
    folder = replace(
        study, space=study.space.pin({"data.source": str(tmp_path), "distillation.teacher": "s3://b/t.pt"})
    )
    assert node_requirements(folder).paths == (str(tmp_path),)


def test_what_leads_to_a_bucket_is_no_part_of_what_is_printed(monkeypatch, make_study):
    monkeypatch.setattr("cifarray.engine.nodes._code", lambda: ("", ""))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    needs = node_requirements(make_study())
    assert needs.environment["AWS_SECRET_ACCESS_KEY"] == "hush"
    assert "hush" not in repr(needs)


@contextlib.contextmanager
def node(address, prefix=(), **environment):
    """One more node, of one CPU, on this machine."""
    command = [*prefix, RAY, "start", f"--address={address}", "--block", "--num-cpus=1", "--disable-usage-stats"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "RAY_AUTH_MODE": "disabled", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def refused(address, folder, *arguments, before=""):
    """What a job says that is refused. before: code that it runs first."""
    code = f"{before}\nfrom cifarray.cli.train import train; train()"
    job = [sys.executable, "-c", code, "wide_resnet_fast", "--data", "synthetic:500", "--name", "t"]
    environment = {**os.environ, "RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
    ended = subprocess.run(
        [*job, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert ended.returncode == 2, ended.stdout + ended.stderr
    return ended.stderr.splitlines()[-1]


def wait_for_nodes(address, number):
    code = (
        "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR');"
        "print(sum(node['Alive'] for node in ray.nodes()))"
    )

    def alive():
        command = [sys.executable, "-c", code, address]
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
        found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        return int(found.stdout) == number

    wait_until(alive, 90)


@pytest.mark.ray
@pytest.mark.nightly
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="a node with mounts of its own needs root")
def test_the_node_that_differs_is_named_and_nothing_is_left_behind(tmp_path):
    """One node has an empty disk where the others have the storage, the other one has older code."""
    results, older = tmp_path / "results", tmp_path / "older"
    results.mkdir()
    hides = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {results} && exec "$@"', "sh"]
    with growing_head({}, max_workers=0, v2=False) as address:
        said = refused(address, tmp_path, "--storage", str(results), before="import ray; ray.__version__ = '2.0.1'")
        assert said.startswith("error: Version mismatch: The cluster was started with: Ray: 2.6")
        assert "was started with: Ray: 2.0.1" in said
        assert said.endswith("or bring the cluster up to date (ray up again)")

        with node(address, hides):
            wait_for_nodes(address, 2)
            said = refused(address, tmp_path, "--storage", str(results))
            assert f"does not see the driver's files in {results}/t: give a --storage that all nodes share" in said
            assert said.startswith("error: node ")
        assert not (results / "t").exists()

        wait_for_nodes(address, 1)
        shutil.copytree(Path(cifarray.__file__).parent, older / "cifarray")
        with open(older / "cifarray" / "training" / "loop.py", "a") as file:
            file.write("# as it was last week\n")
        with node(address, PYTHONPATH=str(older)):
            wait_for_nodes(address, 2)
            said = refused(address, tmp_path, "--storage", str(results))
            assert "error: node " in said
            assert f" runs cifarray {cifarray.__version__}+" in said
            assert f", the driver cifarray {cifarray.__version__}+" in said
            assert said.endswith(
                ": bring it up to date (ray up again), or submit the job with --working-dir, so that every node runs "
                "that code"
            )


def test_what_leads_to_a_bucket_is_no_part_of_what_ray_shows_of_a_training_run(monkeypatch, make_study, tmp_path):
    """Train keeps its settings for the dashboard, and writes them into a log where exporting is on."""
    from ray.train.v2._internal.state.schema import RunSettings

    monkeypatch.setattr("cifarray.engine.nodes._code", lambda: ("", ""))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    settings = GroupSettings(1, 1.0, 0.0, str(tmp_path), node_requirements(make_study()))
    trainer = make_trainer(settings, host=None)
    shown = RunSettings._sanitize_train_loop_config(trainer.train_loop_config)
    assert "requirements" in shown
    assert "hush" not in str(shown) + repr(settings) + repr(trainer.run_config) + repr(trainer.scaling_config)
    assert trainer.train_loop_config["requirements"].environment["AWS_SECRET_ACCESS_KEY"] == "hush"
    assert not trainer.run_config.worker_runtime_env
