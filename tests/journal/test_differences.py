"""What sets a study apart from one of its name, in the words of whoever asks for it."""

import json

import pytest

from cifarray.config import TrainConfig, override
from cifarray.journal.differences import differences_of, table
from cifarray.space.domains import choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.study import Study

LR = {"optimizer.lr": log_uniform(0.01, 1.0)}


def identity(domains=LR, fields=None, **options):
    base = override(TrainConfig(), {"data.source": "synthetic:500", "model.depth": 10, "epochs": 4, **(fields or {})})
    study = Study(
        name="s",
        space=SearchSpace("s", base, domains),
        num_trials=4,
        storage="/nowhere",
        tracking_uri="sqlite:////nowhere/m.db",
        **options,
    )
    return json.loads(json.dumps(study.identity()))


@pytest.mark.parametrize(
    ("there", "wanted", "expected"),
    [
        ({}, {"fields": {"epochs": 5}}, [("epochs", "4", "5")]),
        # As they would be shown, these are the same.
        (
            {"fields": {"optimizer.weight_decay": 0.0005}},
            {"fields": {"optimizer.weight_decay": 0.00050000001}},
            [("optimizer.weight_decay", "0.0005", "0.00050000001")],
        ),
        ({"domains": {"seed": choice(1, 2)}}, {"domains": {"seed": choice(2, 1)}}, [("seed", "{1, 2}", "{2, 1}")]),
        ({}, {"seed": 3}, [("seed of the search", "–", "3")]),
        ({}, {}, []),
    ],
)
def test_every_difference_is_one_however_small(there, wanted, expected):
    assert differences_of(identity(**there), identity(**wanted)) == expected


def test_the_table_fits_a_terminal_and_counts_what_it_leaves_out():
    rows = [(f"data.{'a' * 20}{i}", "x" * 60, "y" * 60) for i in range(11)]
    lines = table(rows).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "  and 3 more"
