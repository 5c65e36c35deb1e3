"""The workers of a simulated study: their processes, the Train run that starts them, and what they train.

What must hold at every step of a worker is asserted where the step is made. Not here: the study (`simulated_study`).
"""

from collections.abc import Callable
from typing import Any

import torch
from simulated_ray import Call, Process

from cifarray.engine import worker
from cifarray.engine.orders import NodeRequirements, Order
from cifarray.engine.train_run import COLLECTIVE_TIMEOUT_SECONDS
from cifarray.engine.worker_group import WorkerGroup
from cifarray.training.loop import Diverged

PATIENCE = 60.0


class WrongError(BaseException):
    """A worker did what it must not; no code of the worker catches it."""


class Rank(Process):
    """A worker process of a Train run."""

    def __init__(self, run: "TrainRun", rank: int, main: Callable[[], None]) -> None:
        self.run, self.rank = run, rank
        self.order: Order | None = None
        """What it does now."""
        self.diverges = 0
        """The lease under which its loss is no number."""
        self.met: dict[int, object] | None = None
        """What its peers brought to where it stands."""
        self.thread: Thread | None = None
        """In which it has a checkpoint written."""
        super().__init__(f"{run.name}/{run.starts}.{rank}", main)

    def in_background(self, work: Callable[[], None]) -> "Thread":
        """As `cifarray.engine.background.in_background`."""
        assert self.thread is None or self.thread.ended, "two checkpoints are written at once"
        self.thread = Thread(self, work)
        return self.thread

    def kill(self) -> None:
        if self.thread is not None:
            self.thread.kill()
        super().kill()

    def meet(self, what: tuple, value: object = None) -> dict[int, object]:
        """A collective: returns when all ranks are there, with what each brought."""
        self.met, self.since, self.value = None, self.run.study.loop.now, value
        return self.stand("peers", what)

    def step(self) -> Callable[[], None] | None:
        """What it does next; None if it can do nothing."""
        if self.ended or self.hung:
            return None
        if self.halt.kind == "call":
            call = self.halt.what
            return (lambda: self._take(call)) if call.done else None
        if self.halt.kind == "thread":
            return self.go_on if self.halt.what.ended else None
        if self.halt.kind != "peers":
            return self.go_on
        ranks = self.run.ranks
        if self.met is None and not any(rank.ended for rank in ranks):
            wanted = {rank.halt.what for rank in ranks if rank.halt.kind == "peers" and rank.met is None}
            if all(rank.halt.kind == "peers" and rank.met is None for rank in ranks):
                if len(wanted) > 1:
                    # They hang, or take one another's numbers: nobody may ever hear of it.
                    assert self.run.is_given_up, f"ranks of one group meet in different collectives: {wanted}"
                    return None
                assert self.run.is_given_up or not self.run.is_torn, "a collective after one that was left half done"
                for rank in ranks:
                    rank.met = {each.rank: each.value for each in ranks}
        if self.met is not None:
            return lambda: self.go_on(self.met)
        late = self.run.study.loop.now - self.since >= COLLECTIVE_TIMEOUT_SECONDS
        if late or any(rank.ended for rank in ranks):
            return lambda: self.fail(torch.distributed.DistError("connection closed by peer"))
        return None

    def fail(self, error: Exception) -> None:
        """An error is raised where it stands."""
        self.run.is_torn |= self.run.study.workers > 1 and self.halt.what not in ("set up", "forward")
        self.go_on(error=error)

    def _take(self, call: Call) -> None:
        value, error = call.outcome()
        if call.method == "next_order" and error is None:
            self._check(call.args[2], value)
            self.order = value
        self.go_on(value, error)

    def _check(self, index: int, order: Order) -> None:
        """All ranks get the same orders, each for the trial that has moved in; who is wanted is not sent home."""
        if order.kind == "leave":
            assert self.run.is_given_up, f"{self.name} is sent home by nobody"
        orders = self.run.orders
        assert index <= len(orders), f"{self.name} is ahead of all orders"
        if index == len(orders):
            orders.append(order)
        assert orders[index] == order, f"rank {self.rank} is told {order}, another one {orders[index]}"
        moved_in = [each.lease for each in orders[: index + 1] if each.kind == "move_in"]
        assert order.kind != "epoch" or [order.lease] == moved_in[-1:], (
            f"an epoch of lease {order.lease}, not {moved_in}"
        )


class Thread(Process):
    """In which a worker writes a checkpoint; also what the worker waits for, as for a future."""

    def __init__(self, rank: Rank, work: Callable[[], None]) -> None:
        self.worker, self.order = rank, rank.order
        super().__init__(f"{rank.name}'s thread", work)

    def step(self) -> Callable[[], None] | None:
        if self.ended or self.hung:
            return None
        if self.halt.kind != "call":
            return self.go_on
        call = self.halt.what
        return (lambda: self.go_on(*call.outcome())) if call.done else None

    def fail(self, error: Exception) -> None:
        self.go_on(error=error)

    def result(self) -> None:
        """By the worker."""
        if not self.ended:
            Process.current().stand("thread", self)
        if self.error is not None:
            raise self.error


class TrainRun:
    """What Ray Train does for a group: starts its workers, and all of them again when one has died."""

    def __init__(self, study: Any, name: str) -> None:
        self.study, self.name, self.starts, self.over = study, name, 0, False
        self.ranks: list[Rank] = []
        self.orders: list[Order] = []
        """Of these workers, as their ranks have heard them."""
        self.is_torn = False
        """Whether one of these workers has left a collective half done."""
        self.were_ready = False
        """For orders: any workers since the host has heard of new ones last."""
        self.start()

    @property
    def actor(self):
        return self.study.network.actors[self.name]

    @property
    def host(self) -> WorkerGroup:
        return self.actor.instance

    @property
    def is_given_up(self) -> bool:
        """Nobody waits for what its workers do."""
        leaving = any(call.method == "leave" and call.actor is self.actor for call in self.study.network.delivered)
        return leaving or not self.actor.alive or self.host.error is not None

    def start(self) -> None:
        self.starts += 1
        self.orders, self.is_torn = [], False
        settings = {
            "host": self.actor,
            "threads": 1,
            "requirements": NodeRequirements({}, "/marker"),
            "patience": PATIENCE,
            "study": "id",
        }
        self.ranks = [Rank(self, rank, lambda: _serve(settings)) for rank in range(self.study.workers)]

    def step(self) -> Callable[[], None] | None:
        if self.over or not any(rank.ended for rank in self.ranks):
            return None
        if any(rank.error is not None for rank in self.ranks):
            return self.restart
        return self.end if all(rank.ended for rank in self.ranks) else None

    def restart(self) -> None:
        asked = {call.sender for call in self.study.network.delivered if call.method == "next_order"}
        self.were_ready |= asked >= set(self.ranks)
        for rank in self.ranks:
            rank.kill()
        for call in list(self.study.network.under_way):
            # Only the next workers' could overtake it, which start seconds later.
            if call.method == "begin" and call.is_of_the_dead:
                self.study.network.under_way.remove(call)
        self.actor.workers_failed.remote("worker 0: killed")
        self.start()

    def end(self) -> None:
        self.over = True
        self.study.loop.create_task(self.host._fit_ended(None))
        self.study.loop.settle()

    def kill(self) -> None:
        self.over = True
        for rank in self.ranks:
            rank.kill()


def _serve(settings: dict) -> None:
    """As `train_run._serve`, whose imports the other ranks and simulations have behind them."""
    ray = worker.ray
    if ray.train.get_context().get_world_rank() == 0:
        ray.get(settings["host"].arrive.remote(ray.get_runtime_context().get_actor_id()))
    worker.serve(settings)


class SimulatedTraining:
    """Same attributes and methods as `Training`, as far as a worker uses them; learns nothing."""

    def __init__(self, config, device, rank, world_size, checkpoint=None, began_in=None) -> None:
        self.config, self.rank, self.world_size, self.in_backward = config, rank, world_size, False
        self.precision, self.remark, self.step, self.steps_per_epoch = "fp32", "", 0, 1
        self.process: Rank = Process.current()
        self.lease = self.process.order.lease
        self.epoch = checkpoint["epoch"] if checkpoint else 0
        self.lr = config.optimizer.lr
        if checkpoint and checkpoint["lr"] != self.lr:
            raise WrongError(f"{self.process} goes on from another trial's checkpoint")
        self.process.stand("work", "set up")
        self.process.meet(("set up", self.lr, self.epoch))

    def run_epoch(self, on_step) -> dict:
        process, epoch = self.process, self.epoch + 1
        if process.order.lease != self.lease or epoch > self.config.epochs:
            raise WrongError(f"{process} trains epoch {epoch} of lease {self.lease} for {process.order}")
        on_step()
        process.stand("work", "forward")
        self.in_backward = True
        process.meet(("backward", self.lr, epoch))
        process.stand("work", "step")
        self.in_backward = False
        if any(process.meet(("evaluate", self.lr, epoch), process.diverges == self.lease).values()):
            raise Diverged(f"lr {self.lr}")
        self.epoch = epoch
        return {"epoch": epoch, "val_accuracy": epoch / (1 + epoch), "lr": self.lr, "epoch_seconds": 1.0}

    def snapshot(self) -> dict:
        return {"lr": self.lr, "epoch": self.epoch}

    def close(self) -> None: ...
