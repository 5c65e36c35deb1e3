"""One Ray for all tests that are content with it, and a study of toy trials."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest
from mid_trial import EPOCHS, PATIENCE, weights

from cifarray.config import TrainConfig, override
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.study import Study
from cifarray.tracking.process import TrackingResult


@pytest.fixture(scope="session")
def ray_session(cifarray_home):
    """A Ray with two CPUs whose workers find the modules of this folder."""
    from cifarray.engine.connection import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.delenv("RAY_ADDRESS", raising=False)
        with connected(num_cpus=2) as ray:
            yield ray


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """One MLflow database for all studies: a new one takes seconds of migrations."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


class Untracked:
    """In place of MLflow's process, of which each takes seconds to start."""

    def __init__(self, *arguments): ...

    def wake(self): ...

    def finish(self, timeout):
        return TrackingResult(ok=True, waiting_events=0, parent_run_id="", message="")


@pytest.fixture
def untracked(monkeypatch):
    """MLflow is not told of studies: for tests that do not ask it. Others do (`mid_trial`, `tests/tracking`)."""
    monkeypatch.setattr("cifarray.engine.run.Tracking", Untracked)
    monkeypatch.setattr("cifarray.engine.run.try_model_out", lambda config, num_classes, versions: "")


@pytest.fixture
def make_study(tmp_path: Path, tracking_uri: str):
    """A function that makes a small study of WRN-10-1 on synthetic images in a folder of its own."""

    def make(name="toy", num_trials=6, domains=None, fixed=None, **options):
        fields = {"data.source": "synthetic:500", "model.depth": 10, "epochs": 4, "batch_size": 64}
        # Epochs take no time here, and there is to be a checkpoint after each.
        base = override(TrainConfig(), {**fields, "checkpoint_minutes": 0, **(fixed or {})})
        space = SearchSpace(name, base, domains or {"optimizer.lr": log_uniform(0.001, 1.0)})
        return Study(
            name=name,
            space=space,
            num_trials=num_trials,
            storage=str(tmp_path),
            tracking_uri=tracking_uri,
            **options,
        )

    return make


class Recorder:
    """A view that remembers the events, and calls `on_event` with each."""

    def __init__(self, on_event=None):
        self.events = []
        self.on_event = on_event

    def stage(self, doing):
        return contextlib.nullcontext()

    def start(self, study, state, worker, ask_paces): ...

    def stopping(self, text): ...

    def event(self, event):
        self.events.append(event)
        if self.on_event:
            self.on_event(event)

    def stop(self): ...

    def of(self, kind, **fields):
        """The events of a type whose fields have these values."""
        found = [event for event in self.events if isinstance(event, kind)]
        return [event for event in found if all(getattr(event, name) == value for name, value in fields.items())]

    def count(self, kind, **fields):
        return len(self.of(kind, **fields))


@pytest.fixture
def make_recorder():
    return Recorder


@pytest.fixture
def make_equal(make_study):
    """A function that makes a study of equal trials, one after the other, with two workers and dropout."""

    def make(name, num_trials=1, **options):
        fields = {"model.dropout": 0.3, "data.source": "synthetic:2000", "epochs": EPOCHS, "optimizer.lr": 0.1}
        more = {"workers": 2, "cpus_per_worker": 1.0, "patience": PATIENCE, "keep_checkpoints": num_trials, **options}
        # No point of a space is tried twice; this field is of another schedule than the trials have.
        powers = {"schedule.power": choice(*map(float, range(1, num_trials + 1)))}
        return make_study(name, num_trials, powers, fields, searcher="grid", **more)

    return make


@pytest.fixture(scope="session")
def undisturbed(ray_session, tmp_path_factory, tracking_uri):
    """The weights of an equal trial as they are without a fault; made once."""
    from cifarray.engine.run import run_study

    make = make_equal.__wrapped__(make_study.__wrapped__(tmp_path_factory.mktemp("undisturbed"), tracking_uri))
    return weights(run_study(make("calm"), Recorder()).state)


@pytest.fixture
def make_disk(tmp_path):
    """A function that makes `folder` a disk of 40 MB; what it returns fills it up. Needs root."""
    mounted = []

    def make(folder):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a small disk can only be made by root")
        mounted.append(folder)

        def fill():
            with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
                while file.write(b"x" * 2**16):
                    pass

        return fill

    yield make
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
