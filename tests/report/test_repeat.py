"""The command that trains a config again gives that config."""

import shlex

import pytest

from cifarray import recipes
from cifarray.cli import train as train_module
from cifarray.cli.train import train
from cifarray.config import override
from cifarray.report.repeat import repeat
from cifarray.study.trial_record import TrialRecord
from search_spaces import densenet, pyramidnet, tricks, wrn

TRICKS = tricks.space("resnet_110", recipes.get("resnet_110"))


def typed(command, monkeypatch):
    """The study that a command line means."""
    studies = []
    monkeypatch.setattr(train_module, "run_job", lambda study, flags: studies.append(study) or 0)
    words = shlex.split(command)
    assert words[:2] == ["python", "jobs/train.py"]
    with pytest.raises(SystemExit):
        train(words[2:])
    return studies[0]


@pytest.mark.parametrize(
    "config",
    [
        wrn.space.config(next(wrn.space.tree.corners(["model.depth", "optimizer.lr"]))),
        densenet.space.base,
        pyramidnet.space.base,
        TRICKS.config(next(TRICKS.tree.corners(["schedule.name", "clip_norm"]))),
        recipes.get("imagenet_resnet_fast"),
        override(
            recipes.get("wide_resnet_fast"),
            {
                "seed": 7,
                "epochs": 3,
                "data.source": "synthetic:1000",
                "data.limit": 200,
                "schedule.name": "multistep",
                "schedule.milestones": [0.25, 0.5],
                "clip_norm": 1.5,
                "optimizer.nesterov": False,
                "optimizer.lr": 0.123456789012345,
            },
        ),
    ],
    ids=lambda config: config.model.name,
)
def test_the_command_gives_the_config(config, monkeypatch, storage):
    command = repeat(TrialRecord(0, {}, config.to_dict()), "again", workers=2)
    study = typed(command, monkeypatch)
    assert study.space.base.to_dict() == config.to_dict()
    assert (study.name, study.workers, study.num_trials) == ("again", 2, 1)


def test_a_network_that_no_recipe_has_gives_no_command(monkeypatch):
    monkeypatch.setattr("cifarray.report.repeat.RECIPES", {})
    assert repeat(TrialRecord(0, {}, wrn.space.base.to_dict()), "again", 1) is None


def test_a_recipe_that_was_compared_is_named():
    config = recipes.get("resnet_110").to_dict()
    command = repeat(TrialRecord(0, {"recipe": "resnet_110", "seed": 0}, config), "again", 1)
    assert command.startswith("python jobs/train.py resnet_110 --name again --data cifar10")
