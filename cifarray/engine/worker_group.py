"""A worker group: one host actor, and behind it one Ray Train run whose DDP workers go from trial to trial.

The host is the mailbox between the Tune actor that runs a trial and the workers. It holds no tensors. The one thing
that it decides, by the same rule as the driver, is whether a trial whose workers died starts again here (`_restart`).
Orders form one sequence that every rank follows to the letter: move into a trial, run an epoch, …, move into the next;
of an early stop workers hear nothing, the next move-in replaces the trial. When Train restarts the workers, a new
generation begins a new sequence with the current trial's newest checkpoint and the epochs that are still wanted.
Rank 0 asks for the generation and tells the other ranks, so workers of two generations are never taken for one group.

Not here: who gets the group (`pool`), what the Train run is (`train_run`), what workers do with an order (`worker`).
"""

import asyncio
import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray

from cifarray.engine import cluster, ray_internals
from cifarray.engine.liveness import RESTART_SECONDS, ComingUp, Deadlines
from cifarray.engine.orders import Answer, Failure, GroupSettings, Order, RefusedError, WorkerProcess
from cifarray.engine.sequence import Sequence
from cifarray.engine.stay import Stay
from cifarray.engine.train_run import make_trainer
from cifarray.study.faults import MAX_FAILED_STARTS, Fault, Losses, Retry, TrialFault, decide, gravest
from cifarray.study.forecast import Pace

SETTLE_SECONDS = 10.0
"""How long the other ranks may take to come back to the mailbox after one rank failed; then the group is replaced."""
LOOK_SECONDS = 1.0
"""How often stuck workers are looked for."""


class WorkerGroup:
    """The host; made a Ray actor by `pool`. Its public methods are coroutines on one event loop."""

    def __init__(self, settings: GroupSettings) -> None:
        self.settings = settings
        self.changed = asyncio.Condition()
        self.generation = 0
        self.ranks: dict[int, WorkerProcess] = {}
        self.failed_starts = 0
        """Generations in a row that never were."""
        self.begun = False
        """Whether rank 0 came up since Train saw workers fail last."""
        self.last_words = ""
        """What Train said of the workers that failed last."""
        self.deadlines = Deadlines(settings.patience)
        self.coming_up = ComingUp(settings.workers)
        self.sequence = Sequence(settings.workers)
        self.stay: Stay | None = None
        self.last_pace: Pace | None = None
        self.error: str | None = None
        self.refused = False
        self.ended = False
        self.requester_id = ""

    # The Train run.

    async def open(self) -> None:
        """Start the Train run in a thread; it lasts as long as the group."""
        host, loop = ray.get_runtime_context().current_actor, asyncio.get_running_loop()
        threading.Thread(target=self._fit, args=(host, loop), daemon=True).start()
        self._watching = asyncio.ensure_future(self._watch())

    def _fit(self, host: Any, loop: asyncio.AbstractEventLoop) -> None:
        try:
            trainer = make_trainer(self.settings, host)
            asyncio.run_coroutine_threadsafe(self._asks_as(ray_internals.requester_of(trainer)), loop)
            trainer.fit()
            message = None
        except BaseException:
            message = traceback.format_exc()
        asyncio.run_coroutine_threadsafe(self._fit_ended(message), loop)

    async def _asks_as(self, requester_id: str) -> None:
        async with self.changed:
            self.requester_id = requester_id
            self.changed.notify_all()

    async def _fit_ended(self, message: str | None) -> None:
        async with self.changed:
            self.ended = True
            self.error = self.error or message
            self.changed.notify_all()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition; raise if the Train run ends before."""
        async with self.changed:
            await self.changed.wait_for(lambda: condition() or self.ended or self.error is not None)
            if not condition():
                raise (RefusedError if self.refused else RuntimeError)(self.error or "the worker group has ended")

    # For the workers.

    async def arrive(self, actor: str) -> None:
        """The process of a new rank 0 is up, before anything that may hang."""
        self.coming_up.arrive(actor)

    async def begin(self) -> int:
        """Rank 0 of new workers has come up. Returns their generation, which it tells the other ranks."""
        # Counted before anything is waited for: the next workers may come up meanwhile, and theirs is the present one.
        self.generation = generation = self.generation + 1
        self.coming_up.begin()
        self.begun = True
        nodes = {process.node for process in self.ranks.values()}
        gone = bool(nodes) and await asyncio.to_thread(cluster.any_node_gone, nodes)
        async with self.changed:
            if generation == self.generation:
                self._restart(Fault.NODE_DIED if gone else Fault.WORKERS_DIED)
                self.changed.notify_all()
            return generation

    async def hello(self, generation: int, rank: int, process: WorkerProcess) -> None:
        """A rank is ready for orders."""
        async with self.changed:
            if generation == self.generation:
                self.ranks[rank] = process
                self.changed.notify_all()

    async def workers_failed(self, message: str) -> None:
        """Train has seen workers fail, and will start all of them again."""
        async with self.changed:
            self.last_words = message
            if not self.begun:
                self._count_failed_start(message)
                self.changed.notify_all()
            self.begun = False

    async def broken(self, message: str) -> None:
        """A worker could not even begin; so would others."""
        async with self.changed:
            self.error = self.error or message
            self.changed.notify_all()

    async def progress(self, generation: int, rank: int, seconds: float, pace: Pace | None = None) -> None:
        """A rank gets on, and will be heard of again within so many seconds; pace: how far it is, if it says so."""
        if generation == self.generation:
            self.deadlines.extend(rank, seconds)
            self.last_pace = pace or self.last_pace

    async def refuse(self, message: str) -> None:
        """A worker that cannot serve says why."""
        async with self.changed:
            self.error, self.refused = self.error or message, True
            self.changed.notify_all()

    async def next_order(self, generation: int, rank: int, index: int) -> Order:
        """The order at `index` of this generation's sequence, as soon as there is one."""
        async with self.changed:
            if generation == self.generation:
                self.sequence.ask(rank, index)
                self.changed.notify_all()
            await self.changed.wait_for(lambda: generation != self.generation or self.sequence.is_due(index))
            if generation != self.generation:
                return Order("leave")
            order = self.sequence.take(rank, index)
            self.deadlines.begin(rank, anew=order.kind == "move_in")
            return order

    async def trained(self, lease: int, epoch: int) -> None:
        """An epoch on which nothing is decided is trained; its answer comes when its checkpoint is stored."""
        async with self.changed:
            stay = self._stay_of(lease)
            if stay is None or stay.last_answer is not None or stay.failures:
                return
            self.sequence.extend(stay.go_on_after(epoch))
            self.changed.notify_all()

    async def answer(self, lease: int, answer: Answer) -> None:
        """Rank 0 has finished an epoch, and its checkpoint, if it has one, is stored. A late answer is ignored, of an
        old stay as of one that has its ending."""
        async with self.changed:
            stay = self._stay_of(lease)
            if stay is None or stay.last_answer is not None:
                return
            stay.take(answer)
            self.changed.notify_all()

    async def failed(self, generation: int, rank: int, lease: int, failure: Failure) -> None:
        """A rank could not go on with the trial."""
        async with self.changed:
            if generation != self.generation:
                return
            stay = self._stay_of(lease)
            if stay is None:
                if not failure.clean:
                    self.error = f"a trial that had left broke the group: {failure.message}"
                    self.changed.notify_all()
                return
            stay.failures[rank] = failure
            if len(stay.failures) == 1:
                self._settling = asyncio.ensure_future(self._settle(stay))
            self.changed.notify_all()

    async def _settle(self, stay: Stay) -> None:
        """Some rank failed: find out whether the trial ends with it and whether the group can be used again.

        It can if all ranks come back to the mailbox and none left a collective half done. A rank that does not come
        back is either dead, and Train restarts the workers, or hangs in a collective, and the group is replaced.
        """
        generation = self.generation
        async with self.changed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self.changed.wait_for(
                        lambda: self.sequence.is_done() or self.generation != generation or self.stay is not stay
                    ),
                    timeout=SETTLE_SECONDS,
                )
            missing = [process.actor for rank, process in self.ranks.items() if rank not in self.sequence.waiting]
        if await asyncio.to_thread(cluster.any_dead, missing):
            return
        async with self.changed:
            if self.generation != generation or self.stay is not stay:
                return
            usable = self.sequence.is_done() and all(failure.clean for failure in stay.failures.values())
            fault = gravest(failure.fault for failure in stay.failures.values())
            message = next(failure.message for failure in stay.failures.values() if failure.fault is fault)
            stay.end(fault, message, group_broken=not usable)
            self.changed.notify_all()

    async def _watch(self) -> None:
        """As long as the group lives."""
        excused = 0
        while not self.ended:
            await asyncio.sleep(LOOK_SECONDS)
            await self._end_if_it_never_starts(time.monotonic())
            if self._stuck(time.monotonic()) is None:
                continue
            generation = self.generation
            actors = [process.actor for process in self.ranks.values()]
            if excused != generation and await asyncio.to_thread(cluster.any_dead, actors):
                # The dead and those that wait for them in a collective: Train will start all of them again.
                excused = generation
                self.deadlines.extend_all(RESTART_SECONDS)
                continue
            async with self.changed:
                self._end_if_stuck(time.monotonic())

    async def _end_if_it_never_starts(self, now: float) -> None:
        """A rank that hangs before it is ready, as on a dead network folder, says nothing and Train waits for ever."""
        late, newcomer = self.coming_up.why_late(self.sequence.missing(), now), self.coming_up.newcomer
        if late is None:
            return
        if newcomer != "" and await asyncio.to_thread(cluster.any_dead, [newcomer]):
            # Train starts another one, as soon as there is a place for it.
            if self.coming_up.newcomer == newcomer:
                self.coming_up.begin()
            return
        await self.broken(f"{late}: look at its node (storage that does not answer, ports that are closed)")

    def _stuck(self, now: float) -> int | None:
        """The rank that should have been heard of the longest ago, if there is one."""
        if self.stay is None or self.stay.last_answer is not None:
            return None
        return self.deadlines.overdue(self.ranks.keys() - self.sequence.waiting.keys(), now)

    def _end_if_stuck(self, now: float) -> None:
        """A worker of which nothing is heard in time costs the trial its stay and the group its life."""
        rank = self._stuck(now)
        if rank is not None and self.stay is not None:
            who = f"worker {rank} (process {self.ranks[rank].pid})"
            message = f"{who} has made no progress for {self.deadlines.seconds(rank):.0f} s"
            self.stay.end(Fault.HUNG, message, group_broken=True)
            self.changed.notify_all()

    # For the driver and the trial's Tune actor.

    async def ready(self) -> list[str]:
        """The ids of the workers' nodes, when all of them wait for orders. Raises RuntimeError if the Train run ended
        instead."""
        await self._until(lambda: self.sequence.is_done())
        return sorted({process.node for process in self.ranks.values()})

    async def requester(self) -> str:
        """The name under which Train asks the autoscaler for the nodes of this group."""
        await self._until(lambda: bool(self.requester_id))
        return self.requester_id

    async def move_in(self, order: Order) -> None:
        """A new stay."""
        async with self.changed:
            damage = self.stay.damage if self.stay is not None else None
            if damage is not None:
                # Its actor died before it heard of that, so that the driver does not know.
                self.error = self.error or f"a trial that had left broke the group: {damage}"
            self.stay = Stay.of(order)
            self.sequence.forget_done()
            self.sequence.extend([order])
            self.changed.notify_all()

    async def run_epoch(self, lease: int, epoch: int) -> Answer:
        """Train up to the end of `epoch`. Returns its answer, or how the trial ended before that.

        An answer is delivered once; until then the call may be repeated.
        """
        await self._until(lambda: self.stay is not None and self.stay.order.lease >= lease)
        async with self.changed:
            # Another trial may have moved in, also between the two waits.
            stay = self._stay_of(lease)
            if stay is None:
                return _taken_back(epoch - 1)
            if stay.last_answer is None:
                self.sequence.extend(stay.ask(epoch))
                self.changed.notify_all()
        await self._until(lambda: epoch in stay.answers or stay.last_answer is not None or self.stay is not stay)
        if epoch in stay.answers:
            return replace(stay.answers.pop(epoch), losses=stay.losses)
        return stay.last_answer or _taken_back(epoch - 1)

    async def leave(self) -> None:
        """Send the workers home; the Train run ends."""
        async with self.changed:
            self.sequence.extend([Order("leave")])
            self.changed.notify_all()
            await self.changed.wait_for(lambda: self.ended)

    async def pace(self) -> Pace | None:
        """How far the workers were when they told it last, of whichever trial."""
        return self.last_pace

    async def worker_pids(self) -> dict[int, int]:
        """Process ids of the present workers by rank."""
        return {rank: process.pid for rank, process in self.ranks.items()}

    async def pid(self) -> int:
        return os.getpid()

    # Inside.

    def _restart(self, fault: Fault) -> None:
        """There are new workers: they repeat the current stay from its newest checkpoint."""
        if self.generation == 1:
            return
        never_were = bool(self.sequence.missing())
        self.ranks, self.sequence = {}, Sequence(self.settings.workers)
        self.deadlines.clear()
        message = self.last_words or ("a node died" if fault is Fault.NODE_DIED else "a worker process died")
        self.last_words = ""
        if never_were:
            self._count_failed_start(message)
        else:
            self.failed_starts = 0
        stay = self.stay
        if stay is None or stay.last_answer is not None:
            return
        stay.failures = {}
        losses = stay.losses
        # Workers that never were had nothing of the trial.
        if not self.failed_starts:
            if not isinstance(decide(TrialFault(fault, message, losses.total, losses.deaths)), Retry):
                # The driver decides the same, and says so.
                stay.end(fault, message)
                return
            died = fault is Fault.WORKERS_DIED
            stay.losses = Losses(losses.total + 1, losses.deaths + died, fault, message)
        self.sequence.extend(stay.orders_again())

    def _count_failed_start(self, message: str) -> None:
        self.failed_starts += 1
        if self.failed_starts >= MAX_FAILED_STARTS:
            self.error = f"its workers died {self.failed_starts} times before they were ready: {message}"

    def _stay_of(self, lease: int) -> Stay | None:
        """The stay of that number, if it is the present one."""
        return self.stay if self.stay is not None and self.stay.order.lease == lease else None


def _taken_back(epoch: int) -> Answer:
    return Answer(0, epoch, fault=Fault.LEASE_ENDED, message="its worker group was given to another trial")
