"""One Ray for all tests that are content with it, and a study of toy trials."""

import contextlib
import os
from pathlib import Path

import pytest

from cifarray.config import TrainConfig, override
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.study import Study


@pytest.fixture(scope="session")
def ray_session(cifarray_home):
    """A Ray with two CPUs whose workers find the modules of this folder."""
    from cifarray.engine.cluster import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        patch.delenv("RAY_ADDRESS", raising=False)
        with connected(num_cpus=2) as ray:
            yield ray


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory):
    """One MLflow database for all studies: a new one takes seconds of migrations."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def make_study(tmp_path: Path, tracking_uri: str):
    """A function that makes a small study of WRN-10-1 on synthetic images in a folder of its own."""

    def make(name="toy", num_trials=6, domains=None, fixed=None, **options):
        fields = {"data.source": "synthetic:500", "model.depth": 10, "epochs": 4, "batch_size": 64, **(fixed or {})}
        base = override(TrainConfig(), fields)
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

    def start(self, study, state, worker): ...

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
