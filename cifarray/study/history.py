"""What the searcher learns from: the trials of this study, and finished trials of earlier ones, each as an observation.

Not here: the searcher (`samplers`, `tpe`), which trials of an earlier study are told (`warm_start`).
"""

from collections.abc import Iterable

from cifarray.study.events import EarlierTrials
from cifarray.study.samplers import Observation
from cifarray.study.tpe import expected_end
from cifarray.study.trial_record import Metric, Outcome, TrialRecord

FIRST_EARLIER = -2
"""-1 is no trial's number either (`schedulers.observed.NEW`)."""


def observations(trials: Iterable[TrialRecord], earlier: Iterable[TrialRecord] = ()) -> list[Observation]:
    """In the order of their numbers, those of earlier studies first."""
    trials = list(trials)
    completed = [trial.scores for trial in trials if trial.outcome is Outcome.COMPLETED]
    return [
        Observation(
            params=dict(trial.params),
            values=trial.scores if trial.outcome is not Outcome.DIVERGED else (),
            ended=trial.outcome is not None,
            completed=trial.outcome is Outcome.COMPLETED,
            predicted=expected_end(trial.scores, completed) if trial.is_paused else None,
        )
        for trial in (*earlier, *trials)
    ]


def earlier_trials(event: EarlierTrials, metric: Metric, first: int) -> list[TrialRecord]:
    """The trials of an event, numbered from `first` on downwards: below 0, as no trial of the study is."""
    return [
        TrialRecord(
            number=first - place,
            params=told["params"],
            config={"epochs": told["epochs"]},
            num_params=told["num_params"],
            macs=told["macs"],
            metric=metric,
            epochs=[{metric.name: value} for value in told["values"]],
            outcome=Outcome(told["outcome"]),
        )
        for place, told in enumerate(event.trials)
    ]
