"""Whatever dies, hangs, fails, is late or is said twice: the protocol of driver, trials, hosts and workers holds.

Hypothesis plays scenes of a simulated study (`simulated_study` and `simulated_workers`, where the rules are) and looks
for one that breaks a rule; it prints the shortest that it finds. After each scene nothing breaks any more, and the
study must come to its end or pause.
"""

import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from simulated_study import SimulatedStudy
from simulated_workers import Rank, Thread

from cifarray.study.faults import MAX_LOSSES
from cifarray.study.schedulers import Promote, RunAll
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import Outcome

OWN_REASONS = {"raised": Outcome.FAILED, "out of memory": Outcome.OUT_OF_MEMORY, "diverged": Outcome.DIVERGED}
SLOW = ("nobody", "thread", *(f".{method}(" for method in ("begin", "answer", "failed", "run_epoch", "move_in")))
"""Words of what may not get on for a while."""
REPEATED = ("answer", "failed")
"""Messages of the living that may come twice; those of the dead all may, but for the first one."""


def error_of(kind: str) -> Exception:
    if kind == "out of memory":
        return torch.OutOfMemoryError("CUDA out of memory")
    if kind == "storage":
        return OSError("no space left on device")
    if kind == "sticky":
        return torch.AcceleratorError("an illegal memory access was encountered")
    return ZeroDivisionError("raised by the training")


class Protocol(RuleBasedStateMachine):
    study: SimulatedStudy | None = None

    @initialize(
        groups=st.integers(1, 2),
        workers=st.integers(1, 3),
        trials=st.integers(1, 3),
        epochs=st.integers(1, 5),
        checkpoint_every=st.integers(1, 2),
        checkpoint_minutes=st.integers(0, 1),
        auto_micro_batch=st.booleans(),
        scheduler=st.sampled_from([RunAll(), Promote(2, 1)]),
        seed=st.integers(0, 99),
    )
    def begin(self, **plan) -> None:
        self.study = SimulatedStudy(**plan)

    def teardown(self) -> None:
        if self.study is None:
            return
        try:
            if sys.exc_info()[0] is None:
                self.study.finish()
        finally:
            self.study.end()

    def is_on(self) -> bool:
        return self.study is not None and not self.study.is_over

    def may_lose_more(self) -> bool:
        """Most scenes are to go on: of a few losses in a row the study pauses."""
        return self.is_on() and self.study.state.losses_in_a_row < MAX_LOSSES - 1

    def draw(self, data, choices, label):
        """One of them by its words, None if there is none."""
        by_words = {str(choice): choice for choice in choices}
        return by_words[data.draw(st.sampled_from(list(by_words)), label)] if choices else None

    @precondition(lambda self: not self.is_on())
    @rule()
    def it_is_over(self) -> None: ...

    # Nothing breaks.

    @precondition(is_on)
    @rule(rounds=st.integers(1, 12), but_for=st.sampled_from(SLOW))
    def everybody_gets_on(self, rounds, but_for="nobody") -> None:
        for _ in range(rounds):
            if self.is_on():
                self.study.round(but_for)
                self.study.ask()

    @precondition(is_on)
    @rule(data=st.data())
    def one_gets_on(self, data) -> None:
        steps = dict(self.study.steps())
        if label := self.draw(data, list(steps), "step"):
            steps[label]()

    @precondition(is_on)
    @rule()
    def tune_asks(self) -> None:
        self.study.ask()

    # Messages are late, overtake one another, come twice.

    @precondition(is_on)
    @rule(data=st.data())
    def message_arrives(self, data) -> None:
        """Also one of a process that is dead."""
        if call := self.draw(data, self.study.calls(), "message"):
            self.study.network.deliver(call)
            self.study.loop.settle()

    @precondition(is_on)
    @rule(backwards=st.booleans())
    def messages_arrive_at_once(self, backwards) -> None:
        """All that can, in either order."""
        for call in self.study.calls()[:: -1 if backwards else 1]:
            self.study.network.deliver(call)
        self.study.loop.settle()

    @precondition(is_on)
    @rule(data=st.data())
    def message_is_repeated(self, data) -> None:
        repeated = [
            call
            for call in self.study.network.delivered[-60:]
            if call.actor.alive and (call.method in REPEATED or (call.is_of_the_dead and call.method != "begin"))
        ]
        if call := self.draw(data, repeated, "message"):
            self.study.network.send(replace(call, task=None, again=True))

    @precondition(is_on)
    @rule(data=st.data())
    def thread_of_a_host_ends(self, data) -> None:
        if jobs := list(range(len(self.study.loop.jobs))):
            self.study.loop.finish_job(self.draw(data, jobs, "thread"))
            self.study.loop.settle()

    @precondition(is_on)
    @rule(seconds=st.sampled_from([1.0, 15.0, 70.0, 1000.0]))
    def time_passes(self, seconds) -> None:
        self.study.loop.advance(seconds)

    # Something breaks.

    @precondition(is_on)
    @rule(data=st.data(), node=st.booleans(), at_once=st.booleans())
    def worker_dies(self, data, node, at_once) -> None:
        """`at_once`: Train starts new ones before anything else happens."""
        if rank := self.draw(data, self.study.living, "worker"):
            self.study.gone_nodes = node
            rank.kill()
            if at_once:
                rank.run.restart()

    @precondition(is_on)
    @rule(data=st.data(), beginning=st.booleans())
    def worker_hangs(self, data, beginning) -> None:
        """In its work, in that of its thread or, `beginning`, while it looks whether its node will do; not before it
        has said a word."""
        busy: list[Rank | Thread] = []
        for _ in range(10):
            kinds = ("node",) if beginning else ("work", "peers")
            living = [*self.study.living, *self.study.threads]
            busy = [each for each in living if each.halt.kind in kinds and not each.hung]
            if busy or not self.is_on():
                break
            self.everybody_gets_on(1)
        if rank := self.draw(data, busy, "worker"):
            rank.hung = True

    @precondition(is_on)
    @rule(data=st.data(), kind=st.sampled_from(["raised", "out of memory", "diverged", "storage", "sticky"]))
    def worker_fails(self, data, kind) -> None:
        """Wherever its work is; before it meets the others or after they have met; or its thread."""
        busy: list[Rank | Thread] = []
        for _ in range(10):
            living = [*self.study.living, *self.study.threads]
            busy = [each for each in living if each.halt.kind == "work" and not each.hung]
            if busy or not self.is_on():
                break
            self.everybody_gets_on(1)
        rank: Rank | Thread | None = self.draw(data, busy, "worker")
        if rank is None:
            return
        if kind in OWN_REASONS:
            self.study.injected.add((rank.order.trial, OWN_REASONS[kind]))
        if kind == "diverged":
            getattr(rank, "worker", rank).diverges = rank.order.lease
        else:
            rank.fail(error_of(kind))

    @precondition(may_lose_more)
    @rule(data=st.data(), at_once=st.booleans())
    def actor_of_a_trial_dies(self, data, at_once) -> None:
        """`at_once`: what it has asked arrives together with the next trial."""
        if name := self.draw(data, list(self.study.trials), "trial"):
            self.study.lose_trial(name)
            if at_once:
                self.study.ask()
                self.messages_arrive_at_once(backwards=False)

    @precondition(may_lose_more)
    @rule(data=st.data())
    def host_dies(self, data) -> None:
        living = [name for name, actor in self.study.network.actors.items() if actor.alive]
        if name := self.draw(data, living, "host"):
            self.study.network.kill(self.study.network.actors[name])

    @precondition(is_on)
    @rule(data=st.data())
    def checkpoint_is_lost(self, data) -> None:
        if address := self.draw(data, list(self.study.checkpoints), "checkpoint"):
            del self.study.checkpoints[address]
            self.study.destroyed.add(address)


def play(scenes: int, steps: int) -> None:
    run_state_machine_as_test(
        Protocol,
        settings=settings(
            max_examples=scenes,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        ),
    )


@pytest.mark.parametrize("scheduler", [RunAll(), Promote(2, 1)], ids=lambda scheduler: scheduler.name)
@pytest.mark.parametrize("workers", [1, 3])
def test_where_nothing_breaks_all_trials_come_to_their_end(workers, scheduler):
    study = SimulatedStudy(groups=2, workers=workers, trials=3, epochs=5, scheduler=scheduler)
    try:
        study.finish()
    finally:
        study.end()
    assert not study.paused
    outcomes = [trial.outcome for trial in study.state.trials.values()]
    assert len(outcomes) == 3
    assert set(outcomes) <= {Outcome.COMPLETED, Outcome.STOPPED}
    assert outcomes[0] is Outcome.COMPLETED or scheduler.name != "none"


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pause_for_a_budget_comes_where_workers_are_an_epoch_ahead(workers):
    """Where there are no rungs they go on while a checkpoint is written; seven seconds of a group are the budget."""
    study = SimulatedStudy(workers=workers, trials=3, epochs=5)
    study.state.time_budget = TimeBudget(7.0 * workers, workers)
    try:
        study.finish()
    finally:
        study.end()
    done = {number: (trial.epoch, trial.outcome) for number, trial in study.state.trials.items()}
    assert done == {0: (5, Outcome.COMPLETED), 1: (2, None)}
    assert study.state.trials[1].is_paused
    assert study.state.trials[1].checkpoint[0] == 2


@pytest.mark.timeout(120)
def test_no_short_scene_breaks_the_protocol():
    play(scenes=250, steps=40)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_no_long_scene_breaks_the_protocol():
    play(scenes=2000, steps=80)
