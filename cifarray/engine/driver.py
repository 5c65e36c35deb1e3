"""The driver's moving part: takes decisions from `StudyState`, writes them to the journal, and carries them out.

Here: the one place where state, journal and pool meet, and the two thin adapters through which Tune asks and tells.
Not here: the decisions (`study_state`), setting all of it up (`study`).
"""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from ray.tune.search import Searcher

from cifarray import storage
from cifarray.engine.pool import Pool
from cifarray.engine.trial import Answer
from cifarray.journal.journal import Journal
from cifarray.space.sizes import Sizes
from cifarray.study.state import MAX_RESTARTS, Event, StudyState, outcome_event
from cifarray.study.trial_record import Decision, Outcome

log = logging.getLogger(__name__)


class StudyDriver:
    """Moves trials through the pool. `checkpoints` is the address below which each trial has its folder."""

    def __init__(self, state: StudyState, journal: Journal, pool: Pool, checkpoints: str, sizes: Sizes) -> None:
        self.state, self.journal, self.pool = state, journal, pool
        self.checkpoints, self.sizes = checkpoints, sizes
        self.running: dict[str, tuple[int, str, int]] = {}
        """Tune's trial id → (number, group, lease)."""
        self.error: BaseException | None = None
        """What went wrong while Tune called; Tune would take it for a trial's failure."""
        self._deleter = ThreadPoolExecutor(1, thread_name_prefix="cifarray-delete")

    def record(self, events: Iterable[Event]) -> None:
        """To the journal first; what is on disk has happened."""
        events = list(events)
        self.journal.append(events)
        self.state.replay(events)

    def next_trial(self, tune_id: str) -> dict[str, Any] | str | None:
        """Tune's config of the trial to start now; None if none can start; FINISHED when all is over."""
        self.raise_error()
        self.pool.tend()
        if self.state.is_over():
            return str(Searcher.FINISHED)
        number = self.state.next_number(running for running, _, _ in self.running.values())
        if number is None:
            return None
        # With nothing running, Tune would sleep a second before it asks again.
        group = self.pool.acquire(self.state.remaining(), wait=not self.running)
        if group is None:
            return None
        events: list[Event] = []
        if number not in self.state.trials:
            params = self.state.sample(number)
            config = self.state.space.config(params).to_dict()
            size = self.sizes.of(config)
            events.append(
                {
                    "kind": "trial",
                    "trial": number,
                    "params": params,
                    "config": config,
                    "num_params": size.num_params,
                    "macs": size.macs,
                }
            )
            self.state.replay(events)
        assignment = self.state.assignment(number)
        start = {
            "kind": "start",
            "trial": number,
            "attempt": assignment.attempt,
            "group": group.name,
            "epoch": assignment.epoch,
        }
        self.journal.append([*events, start])
        self.state.apply(start)
        config = self.state.trials[number].config
        folder = storage.join(self.checkpoints, f"trial-{number:04d}")
        lease = self.pool.move_in(group, assignment, config, folder, MAX_RESTARTS)
        self.running[tune_id] = (number, group.name, lease)
        return {
            "trial": number,
            "epoch": assignment.epoch,
            "epochs": config["epochs"],
            "group": group.name,
            "lease": lease,
            "restarts": assignment.restarts,
        }

    def take(self, answer: Answer) -> Decision:
        """An answer of a trial: an epoch, or how it ended. Returns what follows."""
        trial = self.state.trials[answer.trial]
        if trial.outcome is not None:
            return Decision.STOP
        if answer.outcome == "lost":
            self.record(self.state.after_loss(answer.trial, answer.message))
            return Decision.STOP
        events: list[Event] = []
        if answer.restarts > trial.restarts:
            restart = {"kind": "restart", "trial": trial.number, "restarts": answer.restarts, "epoch": answer.epoch}
            events.append(restart)
        if answer.outcome == "out_of_memory":
            workers = self.pool.settings.workers
            self.record([*events, *self.state.after_out_of_memory(answer.trial, workers, answer.message)])
            decision = Decision.STOP
        elif answer.outcome:
            events.append(outcome_event(answer.trial, Outcome(answer.outcome), answer.message))
            self.record(events)
            decision = Decision.STOP
        else:
            decision, more = self.state.after_epoch(answer.trial, answer.epoch, answer.metrics, answer.checkpoint)
            self.record([*events, *more])
        self._drop_checkpoints()
        return decision

    def end(self, tune_id: str, answer: Answer | None) -> None:
        """Tune is done with a trial: its group is free again. Without an answer, its Tune actor died."""
        number, group, lease = self.running.pop(tune_id)
        broken = None
        if answer is None:
            if self.state.trials[number].outcome is None:
                self.record(self.state.after_loss(number, "its Tune actor died"))
            if not self.pool.is_alive(group):
                broken = "its host died"
        else:
            self.take(answer)
            if answer.replace:
                broken = answer.message
        self.pool.give_back(group, lease, broken)
        if not self.state.is_over():
            self.pool.release(self.state.remaining())

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.journal.keep()
        self._deleter.shutdown(wait=True)

    def _drop_checkpoints(self) -> None:
        dropped = self.state.superfluous_checkpoints()
        if dropped:
            self.record(dropped)
            for event in dropped:
                # A journal that another head goes on from must not name a checkpoint that is gone.
                self.journal.when_kept(partial(self._delete_soon, event["checkpoint"]))

    def _delete_soon(self, address: str) -> None:
        with suppress(RuntimeError):  # closed: what is left over is only superfluous
            self._deleter.submit(_delete, address)


def _delete(address: str) -> None:
    try:
        storage.delete(address)
    except OSError as error:
        log.warning("checkpoint %s could not be deleted: %s", address, error)
