"""The two adapters through which Tune asks and tells: a Searcher and a TrialScheduler that pass all on to the driver.

Not here: what is decided (`cifarray.study`), what is done about it (`driver`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from cifarray.engine.driver import StudyDriver, Tenancy
from cifarray.engine.trial import NO_TRIAL
from cifarray.study.trial_record import Decision


class Relay:
    """What both adapters share: the driver, which of its trials Tune calls what, and the first error.

    If a callback raises, Tune takes it for a failure of the trial. So the error is kept here and raised at Tune's next
    `suggest`, which ends the study.
    """

    def __init__(self, driver: StudyDriver) -> None:
        self.driver = driver
        self.numbers: dict[str, int] = {}
        """Tune's trial id → the running trial's number."""
        self.first: str | None = None
        """Tune's id of a trial that does nothing; empty when it is over."""
        self._error: BaseException | None = None

    @contextmanager
    def keeping_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._error = self._error or error

    def raise_error(self) -> None:
        if self._error is not None:
            raise self._error


class _NotSaved:
    """Tune pickles its config at the start; of an adapter there is nothing to keep, the journal has it all."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class SearcherAdapter(_NotSaved, Searcher):
    """Tune asks for trials and tells when they are over."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self.relay = relay

    def suggest(self, trial_id: str) -> Any:
        """Tune's config of the trial to start now; None if none can start; FINISHED when all is over.

        The first is a trial that does nothing: the actor that Tune starts for it, which takes seconds, comes up while
        the worker groups do, and is used again for trial 0.
        """
        self.relay.raise_error()
        if self.relay.first is None:
            self.relay.first = trial_id
            return dict(NO_TRIAL)
        if self.relay.first:
            return None
        driver = self.relay.driver
        tenancy = driver.next_trial()
        if tenancy is None:
            return str(self.FINISHED) if driver.is_over() else None
        self.relay.numbers[trial_id] = tenancy.assignment.number
        return _config(tenancy)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """The scheduler's adapter takes it."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if trial_id == self.relay.first:
            self.relay.first = ""
            return
        with self.relay.keeping_errors():
            answer = None if error or result is None else result.get("answer")
            self.relay.driver.end(self.relay.numbers.pop(trial_id), answer)


class SchedulerAdapter(_NotSaved, TrialScheduler):
    """Tune tells every epoch and hears whether the trial goes on.

    A pause is a stop to Tune: a trial that goes on later is another one of Tune's.
    """

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self.relay = relay

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = Decision.STOP
        with self.relay.keeping_errors():
            decision = self.relay.driver.take(result["answer"])
        return str(self.CONTINUE if decision is Decision.CONTINUE else self.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None: ...

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """None: Tune starts what is pending by itself, without a scan of all trials."""

    def debug_string(self) -> str:
        return "cifarray"


def _config(tenancy: Tenancy) -> dict[str, Any]:
    """Of Tune's trial (`cifarray.engine.trial.Trial`)."""
    return {
        "trial": tenancy.assignment.number,
        "epoch": tenancy.assignment.epoch,
        "epochs": tenancy.config["epochs"],
        "group": tenancy.group,
        "lease": tenancy.lease,
    }
