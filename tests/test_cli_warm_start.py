"""`--warm-start` as it is typed: what is found, planned and refused."""

from pathlib import Path

import pytest
from called_jobs import run
from histories import driver_started, epoch_ended, sampled, started, study_started

from cifarray.cli.flags import apply, make_study, study_parser
from cifarray.cli.warm_start import add_warm_start
from cifarray.config import override
from cifarray.journal.journal import Journal
from cifarray.study.events import TrialEnded
from cifarray.study.study import Study
from cifarray.study.trial_record import Outcome
from search_spaces import wrn

DATA = ("--data", "synthetic:400", "--set", "batch_size=50", "model.depth=10")
LEARNING = ("--searcher", "tpe", "--strategy", "none")


@pytest.fixture
def then(storage: Path) -> Path:
    """A study of four finished trials of two epochs, one of them beyond the rates of the space."""
    base = override(apply(wrn.space, study_parser("").parse_args([*DATA])).base, {"epochs": 2})
    events = [study_started("then", data_sha256="d1"), driver_started()]
    for number, lr in enumerate((0.02, 0.1, 0.3, 9.0)):
        config = override(base, {"optimizer.lr": lr})
        events += [sampled(number, {"optimizer.lr": lr}, config.to_dict()), started(number)]
        events += [epoch_ended(number, epoch, val_accuracy=0.5) for epoch in (1, 2)]
        events.append(TrialEnded(trial=number, outcome=Outcome.COMPLETED))
    journal = Journal(storage / "then")
    journal.append(events)
    journal.close()
    return storage


def study_of(*arguments: str) -> Study:
    parser = study_parser("")
    add_warm_start(parser.what)
    flags = parser.parse_args([*arguments, "--epochs", "2", *DATA, "--searcher", "tpe"])
    return make_study(apply(wrn.space, flags), flags, "none")


def test_the_plan_says_what_is_learnt_and_what_is_left_out(then: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tune", "--warm-start", "then", "--epochs", "2", *LEARNING, *DATA, "--dry-run") == 0
    assert (
        "3 finished trials of then are observations of this search, and no trial of it; 1 more is left out: outside of "
        "its space, or without its metric"
    ) in capsys.readouterr().out
    assert run("tune", "--warm-start", "then", "--epochs", "2", "--strategy", "freeze-thaw", *DATA, "--dry-run") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("then", "--epochs", "2"),
            "searcher random learns nothing from earlier studies: with --warm-start take --searcher tpe, or --strategy "
            "freeze-thaw",
        ),
        (
            ("then", "--epochs", "3", *LEARNING),
            "--warm-start then: none of 4 finished trials is a point of this space (epochs 2 there, 3 here): leave it "
            "out, or search where they are",
        ),
        (("then-1", "--epochs", "2", *LEARNING), "--warm-start then-1 is a trial: name the study that it is of, then"),
        (("nothing", *LEARNING), "'nothing' is no study, trial or MLflow run in"),
        (
            ("then", "--name", "then", "--epochs", "2", *LEARNING),
            "--warm-start then is the study that is to learn: give this one another --name, or start anew with --fresh",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    arguments: tuple[str, ...], message: str, then: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tune", "--warm-start", *arguments, *DATA, "--dry-run") == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_study_started_anew_may_learn_from_the_one_that_it_sets_aside(then: Path) -> None:
    (event,) = study_of("--warm-start", "then", "--name", "then", "--fresh").earlier
    assert (event.study, event.data_sha256, len(event.trials)) == ("then", "d1", 3)


def test_what_the_journal_has_is_not_looked_for_again(then: Path) -> None:
    """The earlier study's folder is gone; another one that never was is missed all the same."""
    study = study_of("--warm-start", "then", "--name", "now")
    journal = Journal(study.folder)
    # Learnt by a driver after the first one.
    journal.append([study_started("now", study.space), sampled(0), *study.earlier])
    journal.close()
    (then / "then").rename(then.parent / "elsewhere")
    assert study_of("--warm-start", "then", "--name", "now").earlier == ()
    with pytest.raises(ValueError, match="'other' is no study"):
        study_of("--warm-start", "then", "other", "--name", "now")
    # What is begun anew has learnt nothing yet.
    with pytest.raises(ValueError, match="'then' is no study"):
        study_of("--warm-start", "then", "--name", "now", "--fresh")
