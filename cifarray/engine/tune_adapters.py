"""The two adapters through which Tune asks and tells: a Searcher and a TrialScheduler that pass all on to the driver.

Not here: what is decided (`cifarray.study`), what is done about it (`driver`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from cifarray.engine.driver import StudyDriver
from cifarray.study.trial_record import Decision


@contextmanager
def _kept_for(driver: StudyDriver) -> Iterator[None]:
    """An error in here ends the study, at the next question that Tune asks."""
    try:
        yield
    except Exception as error:
        driver.error = driver.error or error


class _NotSaved:
    """Tune pickles its config at the start; of an adapter there is nothing to keep, the journal has it all."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class SearcherAdapter(_NotSaved, Searcher):
    """Tune asks for trials and tells when they are over."""

    def __init__(self, driver: StudyDriver) -> None:
        super().__init__()
        self.driver = driver

    def suggest(self, trial_id: str) -> Any:
        return self.driver.next_trial(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The scheduler has heard it."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        with _kept_for(self.driver):
            self.driver.end(trial_id, None if error or result is None else result.get("answer"))


class SchedulerAdapter(_NotSaved, TrialScheduler):
    """Tune tells every epoch and hears whether the trial goes on."""

    def __init__(self, driver: StudyDriver) -> None:
        super().__init__()
        self.driver = driver

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = Decision.STOP
        with _kept_for(self.driver):
            decision = self.driver.take(result["answer"])
        return str(self.CONTINUE if decision is Decision.CONTINUE else self.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None: ...

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune starts what is pending by itself, without a scan of all trials."""

    def debug_string(self) -> str:
        return "cifarray"
