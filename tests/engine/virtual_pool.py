"""A pool whose groups answer when their time has come, and a journal in memory: the driver on a virtual clock.

Not here: any test.
"""

import heapq
from dataclasses import dataclass, replace

from cifarray.config import TrainConfig
from cifarray.engine.driver import StudyDriver
from cifarray.engine.orders import Answer
from cifarray.models import ModelSize
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.events import DriverStarted
from cifarray.study.schedulers import RunAll
from cifarray.study.state import StudyState
from cifarray.study.time_budget import TimeBudget
from cifarray.study.trial_record import Decision


@dataclass
class Group:
    name: str
    lease: int | None = None


class VirtualPool:
    """`num_groups` groups that are always ready; an epoch takes 60 s."""

    workers = 1
    seconds = 60.0

    def __init__(self, num_groups):
        self.free = [Group(f"group-{number}") for number in range(num_groups)]
        self.broken = []
        self.now = 0.0
        self.leases = {}
        self.due = []

    def tend(self): ...

    def release(self, remaining): ...

    def is_alive(self, name):
        return True

    def acquire(self, remaining, wait):
        return self.free[-1] if self.free else None

    def move_in(self, group, assignment, config, folder):
        self.free.remove(group)
        lease = len(self.leases) + 1
        self.leases[lease] = group
        self.order(assignment.number, assignment.epoch + 1)
        return lease

    def order(self, number, epoch):
        heapq.heappush(self.due, (self.now + self.seconds, len(self.leases), number, epoch))

    def give_back(self, name, lease, broken=None):
        group = self.leases[lease]
        assert group.name == name
        self.broken += [group.name] if broken else []
        self.free.append(group)


class MemoryJournal:
    def __init__(self, clock):
        self.clock, self.events = clock, []

    def append(self, events):
        stamped = [replace(event, time=self.clock()) for event in events]
        self.events += stamped
        return stamped

    def when_kept(self, action):
        action()

    def count(self, kind, **fields):
        return sum(
            isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items())
            for event in self.events
        )


def accuracy(number, epoch):
    """Of 1,000 trials no two learn alike."""
    return (number * 367 % 1000 / 1000) * (1 - 0.5**epoch)


def make_driver(num_trials, num_groups, epochs, scheduler=None, deleted=None, budget=None, before=()):
    """budget: seconds of workers. before: events of an earlier driver, from whose last one the clock goes on."""
    space = SearchSpace("virtual", TrainConfig(epochs=epochs), {"optimizer.lr": log_uniform(0.01, 1.0)})
    state = StudyState(space, num_trials, "random", scheduler or RunAll(), keep_checkpoints=3)
    state.time_budget = None if budget is None else TimeBudget(budget, VirtualPool.workers)
    pool = VirtualPool(num_groups)
    pool.now = before[-1].time if before else 0.0
    state.replay([*before, DriverStarted(pid=1, versions={}, time=pool.now)])
    journal = MemoryJournal(lambda: pool.now)
    delete = (deleted if deleted is not None else []).append
    return StudyDriver(state, journal, pool, "/study", lambda config: ModelSize(1, 1), delete)


def answer_of(number, epoch):
    metrics = {"val_accuracy": accuracy(number, epoch), "epoch_seconds": VirtualPool.seconds}
    return Answer(number, epoch, metrics, f"/study/{number}/{epoch}")


def run(driver, answer_of=answer_of, answers=10**6):
    """As Tune does: start what can be started, then take the next answer; after so many the driver is killed."""
    pool = driver.pool
    for _ in range(answers):
        # Twice: where nothing is begun, what is paused may just have ended, and then there is an audit.
        for _ in range(2):
            while driver.next_trial() is not None:
                pass
        if not pool.due:
            assert driver.is_over(), "nothing runs and nothing is started"
            return
        pool.now, _, number, epoch = heapq.heappop(pool.due)
        answer = answer_of(number, epoch)
        if driver.take(answer) is Decision.CONTINUE:
            pool.order(number, epoch + 1)
        else:
            driver.end(number, answer)
