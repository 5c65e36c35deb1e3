"""Which network a study hands over, and when it takes the champion's place: expected values are worked out by hand."""

import math
from typing import Any

import pytest
from histories import epoch_ended, sampled, study_started

from cifarray.config import TrainConfig, override
from cifarray.study.champion import Contender, name_winner, ruling, split_of
from cifarray.study.events import Event, StudyStarted, TrialEnded
from cifarray.study.state import StudyState
from cifarray.study.stats import noise

DIGEST = "f00d" * 16


def contender(name: str, accuracy: float | None, images: int = 5000, split: str = "s") -> Contender:
    return Contender(name, accuracy, images, split)


def test_chance_is_the_normal_interval_of_a_difference_of_two_shares() -> None:
    """(0.9 · 0.1 + 0.8 · 0.2) / 5000 = 5e-5, of which the root times 1.959964."""
    assert noise(0.9, 5000, 0.8, 5000) == pytest.approx(1.959964 * math.sqrt(5e-5), rel=1e-6)


@pytest.mark.parametrize(
    ("newcomer", "champion", "takes_over"),
    [
        # 1.96 · √(2 · 0.9 · 0.1 / 5000) = 0.01176.
        (0.9118, 0.9, True),
        (0.9108, 0.9, False),
        (0.9, 0.9, False),
        (0.85, 0.9, False),
    ],
)
def test_only_a_lead_beyond_chance_takes_over(newcomer: float, champion: float, takes_over: bool) -> None:
    assert ruling(contender("trial 3", newcomer), contender("version 1", champion)).takes_over is takes_over


def test_fewer_images_ask_for_a_larger_lead() -> None:
    assert ruling(contender("new", 0.92), contender("old", 0.9)).takes_over
    assert not ruling(contender("new", 0.92, images=500), contender("old", 0.9, images=500)).takes_over


def test_the_ruling_says_lead_and_chance() -> None:
    why = ruling(contender("trial 3", 0.93), contender("version 1", 0.9)).why
    assert why == (
        "trial 3 (93.00 %) is 3.00 points above version 1 (90.00 %), and chance alone makes up to 1.09 on 5,000 images"
    )


@pytest.mark.parametrize(
    ("newcomer", "champion"),
    [
        (contender("new", 0.99, split="other"), contender("old", 0.5)),
        (contender("new", 0.99, split=""), contender("old", 0.5, split="")),
        (contender("new", None), contender("old", 0.5)),
        (contender("new", 0.99), contender("old", None, images=0, split="")),
    ],
)
def test_what_cannot_be_compared_does_not_take_over(newcomer: Contender, champion: Contender) -> None:
    assert not ruling(newcomer, champion).takes_over


def test_the_first_one_is_champion_whatever_is_known_of_it() -> None:
    assert ruling(contender("new", None, images=0, split=""), None).takes_over


def started(**plan: Any) -> StudyStarted:
    return study_started(data_sha256=DIGEST, train_images=45_000, held_out_images=5000, num_trials=3, **plan)


def history(values: list[float], **plan: Any) -> list[Event]:
    """Trials of one epoch; the last one is stopped."""
    events: list[Event] = [started(**plan)]
    for number, value in enumerate(values):
        last = number == len(values) - 1
        decision = "stop" if last else "complete"
        address = f"/studies/wrn/trial-000{number}/epoch-0001.pt"
        events += [
            sampled(number, config=override(TrainConfig(), {"epochs": 2 if last else 1}).to_dict()),
            epoch_ended(number, 1, address, decision, val_accuracy=value, val_loss=1 - value),
            TrialEnded(trial=number, outcome="stopped" if last else "completed"),  # type: ignore[arg-type]
        ]
    return events


def test_the_winner_is_the_best_trial_that_ran_to_its_end() -> None:
    events = history([0.7, 0.8, 0.9])
    winner = name_winner(StudyState.from_events(events), events, register=True)
    assert winner is not None
    assert (winner.trial, winner.epoch, winner.accuracy, winner.images) == (1, 1, 0.8, 5000)
    assert winner.checkpoint == "/studies/wrn/trial-0001/epoch-0001.pt"
    assert DIGEST in winner.split


def test_a_study_by_its_loss_is_judged_by_its_accuracy() -> None:
    events = history([0.7, 0.8, 0.9], metric="val_loss")
    winner = name_winner(StudyState.from_events(events), events, register=False)
    assert winner is not None
    assert (winner.trial, winner.accuracy, winner.register) == (1, 0.8, False)


def test_a_study_without_a_completed_trial_has_no_winner() -> None:
    events = history([0.9])
    assert name_winner(StudyState.from_events(events), events, register=True) is None


def test_other_images_are_another_split_and_more_training_images_are_not() -> None:
    base = TrainConfig().to_dict()
    split = split_of(started(), base)
    assert split
    assert split_of(started(), override(TrainConfig(), {"data.limit": 1000}).to_dict()) == split
    for path, value in [("data.source", "cifar100"), ("data.validation", 0.2), ("data.image_size", 64)]:
        assert split_of(started(), override(TrainConfig(), {path: value}).to_dict()) == "", path
    assert split_of(study_started(data_sha256=DIGEST, held_out_images=4000), base) != split
    assert split_of(study_started(), base) == "", "an older journal does not say"
