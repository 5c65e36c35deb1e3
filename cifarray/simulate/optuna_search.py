"""Optuna's TPE with its Hyperband pruner as a strategy to be compared with: Optuna's own code, asked as its users do.

Where only recorded points exist, a trial gets the one nearest to what TPE suggests, and Optuna is told of that one. Not
here: the product's own use of TPE (`cifarray.study.tpe`), which other strategies there are (`strategies`).
"""

import warnings
from collections.abc import Collection
from typing import Any

from cifarray.simulate.study import RecordedStudy
from cifarray.study.schedulers import Assignment, RunAll, StudyView
from cifarray.study.schedulers.scheduler import interrupted
from cifarray.study.tpe import categories, suggested
from cifarray.study.trial_record import Decision, TrialRecord


class OptunasHyperband(RunAll):
    """Chooses points by TPE, and stops trials by Hyperband of η = 3 from the first epoch on (Optuna's defaults)."""

    compares = True
    chooses = True

    def __init__(self, epochs: int) -> None:
        object.__setattr__(self, "_epochs", epochs)
        object.__setattr__(self, "_asked", {})

    def next(self, study: StudyView, running: Collection[int]) -> Assignment | None:
        begun = interrupted(study, running)
        if begun is not None or len(study.trials) >= study.budget:
            return begun
        assert isinstance(study, RecordedStudy)
        optunas = study.once("optuna", lambda: _new_study(self._epochs, study.seed))  # type: ignore[attr-defined]
        self._tell_of_completed(study, optunas)
        number = len(study.trials)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wish = optunas.ask()
            params = study.points.nearest(suggested(study.space, wish))
            optunas.tell(wish, state=_states().FAIL)  # Nobody tries it; TPE passes over what failed.
            optunas.enqueue_trial(categories(study.space, params))
            asked = optunas.ask()
            suggested(study.space, asked)
        self._trials[number] = asked
        return Assignment(number, params=params)

    def after_epoch(self, study: StudyView, trial: TrialRecord) -> tuple[Decision, str]:
        asked = self._trials[trial.number]
        asked.report(float("nan") if trial.score is None else trial.score, trial.epoch)
        if not asked.should_prune():
            return Decision.CONTINUE, ""
        asked.study.tell(asked, state=_states().PRUNED)
        del self._trials[trial.number]
        return Decision.STOP, ""

    @property
    def _trials(self) -> dict[int, Any]:
        """By number, Optuna's of those that it has not heard the end of."""
        trials: dict[int, Any] = self._asked  # type: ignore[attr-defined]
        return trials

    def _tell_of_completed(self, study: StudyView, optunas: Any) -> None:
        for number in list(self._trials):
            trial = study.trials[number]
            if trial.outcome is not None:
                values = {"values": trial.score} if trial.score is not None else {"state": _states().FAIL}
                optunas.tell(self._trials.pop(number), **values)


def _new_study(epochs: int, seed: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    # Hyperband takes a trial's bracket from the study's name, which would be another one each time.
    return optuna.create_study(
        study_name=f"seed-{seed}", direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner
    )


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState
