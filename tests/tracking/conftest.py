"""A driver's journal, as a test writes it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import driver_ended, driver_started, epoch_ended, sampled, started, study_started

from cifarray.config import TrainConfig, override
from cifarray.journal.events import to_json
from cifarray.places import default_tracking_uri
from cifarray.study.events import CheckpointDropped, Event, TrialEnded
from cifarray.study.trial_record import Outcome

START = 1_700_000_000.0
DOMAINS = {
    "model.widen_factor": {"values": [1, 2, 4]},
    "optimizer.lr": {"low": 0.01, "high": 1.0, "log": True, "integer": False},
}


class JournalWriter:
    """Appends events; each is a second later than the one before, so that every time is known."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.jsonl"
        self.name = name
        self.id = f"id-of-{name}"
        self.now = START
        self.events: list[Event] = []

    def write(self, event: Event) -> Event:
        self.now += 1.0
        self.events.append(replace(event, time=self.now))
        self.write_line(to_json(self.events[-1]))
        return self.events[-1]

    def write_line(self, line: str) -> None:
        with open(self.path, "a") as file:
            file.write(line + "\n")

    def study(self, num_trials: int = 2) -> None:
        scheduler = {"name": "asha", "reduction_factor": 3, "grace_epochs": 1}
        plan = {"id": self.id, "num_trials": num_trials, "workers": 2, "scheduler": scheduler, "domains": DOMAINS}
        self.write(study_started(self.name, **plan))
        self.driver()

    def driver(self) -> None:
        self.write(driver_started())

    def trial(self, number: int, params: dict[str, Any] | None = None) -> None:
        params = {"model.widen_factor": 2, "optimizer.lr": 0.1} if params is None else params
        config = override(TrainConfig(), params).to_dict()
        self.write(sampled(number, params, config, num_params=691_674, macs=101_000_000))
        self.start(number)

    def start(self, number: int, epoch: int = 0) -> None:
        self.write(started(number, epoch, group=f"group-{number % 2}"))

    def epoch(
        self, number: int, epoch: int, accuracy: float = 0.5, checkpoint: str | None = None, **more: float
    ) -> None:
        metrics = {"train_loss": 1 / epoch, "val_accuracy": accuracy, **more}
        self.write(epoch_ended(number, epoch, checkpoint, **metrics))

    def drop(self, number: int, epoch: int, checkpoint: str) -> None:
        self.write(CheckpointDropped(trial=number, epoch=epoch, checkpoint=checkpoint))

    def outcome(self, number: int, outcome: Outcome = Outcome.COMPLETED, message: str = "") -> None:
        self.write(TrialEnded(trial=number, outcome=outcome, message=message))

    def ended(self, reason: str = "finished", artifacts: tuple[str, ...] = ()) -> None:
        self.write(driver_ended(reason, artifacts=artifacts))

    def whole_study(self, num_trials: int = 2, epochs: int = 2) -> None:
        self.study(num_trials)
        for number in range(num_trials):
            self.trial(number)
            for epoch in range(1, epochs + 1):
                self.epoch(number, epoch, accuracy=0.1 * epoch + 0.01 * number, checkpoint=f"/ck/{number}/{epoch}")
                if epoch > 1:
                    self.drop(number, epoch - 1, f"/ck/{number}/{epoch - 1}")
            self.outcome(number)
        self.ended()


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite database for all tests, because making its tables takes a second; each test has its own experiment."""
    return default_tracking_uri(str(tmp_path_factory.mktemp("mlflow")))


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    return f"experiment-{tmp_path.name}"


@pytest.fixture
def new_journal(tmp_path: Path) -> Callable[[str, str], JournalWriter]:
    return lambda folder, name: JournalWriter(tmp_path / folder, name)


@pytest.fixture
def journal(tmp_path: Path) -> JournalWriter:
    return JournalWriter(tmp_path / "study", "wrn")


@pytest.fixture(scope="session")
def server(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """MLflow's server of that database behind a gateway (`lossy_server`), and its host and port."""
    from lossy_server import serving

    with serving(tracking_uri, tmp_path_factory.mktemp("artifacts").as_uri()) as both:
        yield both


@pytest.fixture
def gateway(server: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What a test says to the gateway; the mirror's patience outlasts a machine that has no time for the server."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    gateway = server[0]
    gateway.requests.clear()
    yield gateway
    gateway.fault = lambda number, path: None
    gateway.take_effect()
