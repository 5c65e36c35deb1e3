"""A study as one that was trained leaves it, with a network that was not: what is asked of it does not care."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from histories import driver_ended, epoch_ended, sampled, study_started

from cifarray import recipes
from cifarray.config import override
from cifarray.journal.journal import Journal
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialEnded
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.loop import Training

CONFIG = override(
    recipes.get("preact_resnet_fast"),
    {
        "model.depth": 14,
        "data.source": "synthetic:300",
        "data.image_size": 16,
        "batch_size": 30,
        "precision": "fp32",
    },
)
"""6 blocks; 60 test images, 30 to validate."""
STOPPED_RUN, BEST_RUN, STUDY_RUN = "00" * 16, "11" * 16, "cd" * 16


@pytest.fixture(scope="session")
def untrained(cifarray_home: Path) -> dict[str, Any]:
    """What a checkpoint holds, before the first step."""
    training = Training(CONFIG, torch.device("cpu"), 0, 1)
    try:
        return training.state()
    finally:
        training.close()


@pytest.fixture
def results(storage: Path, untrained: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study `good`: trial 0 was stopped after its first epoch, trial 1 went to its end; of both a checkpoint is kept.

    Its driver has ended. The current folder is another one.
    """
    journal = Journal(storage / "good")
    journal.append([study_started("good", SearchSpace("good", CONFIG))])
    for number, decision, outcome in ((0, "stop", "stopped"), (1, "complete", "completed")):
        address = storage / "good" / f"trial-000{number}" / "epoch-0001.pt"
        save_checkpoint(str(address), {**untrained, "metrics": {"trial": number}})
        epoch = epoch_ended(number, 1, str(address), decision, val_accuracy=0.5)
        journal.append([sampled(number, config=CONFIG.to_dict()), epoch, TrialEnded(trial=number, outcome=outcome)])
    journal.append([driver_ended()])
    journal.close()
    runs = {"parent_run_id": STUDY_RUN, "runs": {"0": STOPPED_RUN, "1": BEST_RUN}}
    (storage / "good" / "tracking.json").write_text(json.dumps(runs))
    elsewhere = storage / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return storage
