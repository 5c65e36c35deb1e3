"""A driver's journal, as a test writes it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cifarray.config import TrainConfig, override
from cifarray.places import default_tracking_uri

START = 1_700_000_000.0
SPACE = {
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
        self.events: list[dict[str, Any]] = []

    def write(self, kind: str, **values: Any) -> dict[str, Any]:
        self.now += 1.0
        event = {"kind": kind, "time": self.now, **values}
        self.events.append(event)
        with open(self.path, "a") as file:
            file.write(json.dumps(event) + "\n")
        return event

    def study(self, num_trials: int = 2) -> None:
        self.write(
            "study",
            name=self.name,
            id=self.id,
            config=TrainConfig().to_dict(),
            domains=SPACE,
            scheduler={"reduction_factor": 3, "grace_epochs": 1},
            searcher="random",
            metric="val_accuracy",
            num_trials=num_trials,
            workers=2,
            seed=0,
            storage="results",
        )
        self.driver()

    def driver(self) -> None:
        self.write("driver", pid=4711, versions={"torch": "2.9.0", "ray": "2.60.0"})

    def trial(self, number: int, params: Mapping[str, Any] | None = None) -> None:
        params = {"model.widen_factor": 2, "optimizer.lr": 0.1} if params is None else params
        config = override(TrainConfig(), params).to_dict()
        self.write("trial", trial=number, params=dict(params), config=config, num_params=691_674, macs=101_000_000)
        self.start(number)

    def start(self, number: int, epoch: int = 0) -> None:
        self.write("start", trial=number, attempt=1, group=f"group-{number % 2}", epoch=epoch)

    def epoch(
        self, number: int, epoch: int, accuracy: float = 0.5, checkpoint: str | None = None, **more: float
    ) -> None:
        metrics = {"epoch": epoch, "train_loss": 1 / epoch, "val_accuracy": accuracy, **more}
        self.write("epoch", trial=number, epoch=epoch, metrics=metrics, decision="continue", checkpoint=checkpoint)

    def outcome(self, number: int, outcome: str = "completed", message: str = "") -> None:
        self.write("outcome", trial=number, outcome=outcome, message=message)

    def ended(self, reason: str = "finished", message: str = "", artifacts: tuple[str, ...] = ()) -> None:
        self.write("ended", reason=reason, message=message, artifacts=list(artifacts))

    def whole_study(self, num_trials: int = 2, epochs: int = 2) -> None:
        self.study(num_trials)
        for number in range(num_trials):
            self.trial(number)
            for epoch in range(1, epochs + 1):
                self.epoch(number, epoch, accuracy=0.1 * epoch + 0.01 * number, checkpoint=f"ck/{number}/{epoch}")
                if epoch > 1:
                    self.write("dropped", trial=number, epoch=epoch - 1, checkpoint=f"ck/{number}/{epoch - 1}")
            self.outcome(number)
        self.ended()


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One SQLite store for all tests, because making its tables takes a second; each test has its own experiment."""
    return default_tracking_uri(str(tmp_path_factory.mktemp("store")))


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    return f"experiment-{tmp_path.name}"


@pytest.fixture
def new_journal(tmp_path: Path) -> Callable[[str, str], JournalWriter]:
    return lambda folder, name: JournalWriter(tmp_path / folder, name)


@pytest.fixture
def journal(tmp_path: Path) -> JournalWriter:
    return JournalWriter(tmp_path / "study", "wrn")
