"""What the host of a worker group knows of the trial that lives in it now. Not here: who moves in, and when it ends."""

from dataclasses import dataclass, field, replace

from cifarray.engine.orders import Answer, Failure, Order
from cifarray.study.faults import Fault, Losses


@dataclass
class Stay:
    """From when a trial moves in to when the next one does."""

    order: Order
    epoch: int
    """Epochs done at the newest checkpoint."""
    checkpoint: str | None
    losses: Losses
    """Of the trial's workers, in all its stays."""
    precision: str
    """The number format of its epochs so far; empty where there are none."""
    asked: int
    """The last epoch that was asked for."""
    wanted: int
    """The last epoch that was ordered: at most one more than was asked for."""
    trained: int
    """The last epoch that its workers have trained and not only begun, where nothing is decided on it."""
    answers: dict[int, Answer] = field(default_factory=dict)
    """By epoch, those that were not delivered yet."""
    failures: dict[int, Failure] = field(default_factory=dict)
    """By rank."""
    last_answer: Answer | None = None
    """Set when the trial cannot go on here."""

    @classmethod
    def of(cls, order: Order) -> "Stay":
        """As it begins."""
        epoch = order.epoch
        return cls(
            order, epoch, order.checkpoint, order.losses, order.precision, asked=epoch, wanted=epoch, trained=epoch - 1
        )

    @property
    def damage(self) -> str | None:
        """Why no other trial may move in after it, as far as was heard of."""
        if self.last_answer is not None and self.last_answer.group_broken:
            return self.last_answer.message
        return next((failure.message for failure in self.failures.values() if not failure.clean), None)

    def take(self, answer: Answer) -> None:
        """An epoch is done."""
        self.answers.setdefault(answer.epoch, answer)
        self.precision = answer.precision or self.precision
        # Workers that died since may have answered later epochs than this.
        if answer.checkpoint is not None and answer.epoch > self.epoch:
            self.epoch, self.checkpoint = answer.epoch, answer.checkpoint
            self.losses = replace(self.losses, deaths=0)

    def ask(self, epoch: int) -> list[Order]:
        """The trial's actor wants the answer of `epoch`. Returns what is to be ordered for that."""
        self.asked = max(self.asked, epoch)
        return self._orders()

    def go_on_after(self, epoch: int) -> list[Order]:
        """Workers have trained an epoch on which nothing is decided, and write its checkpoint. Returns what they do
        meanwhile: the next one, if this is the one that is asked for. So they are never further ahead."""
        self.trained = max(self.trained, epoch)
        return self._orders()

    def _orders(self) -> list[Order]:
        up_to = self.asked + (self.trained >= self.asked)
        orders = [self._epoch()] * (up_to - self.wanted)
        self.wanted = max(self.wanted, up_to)
        return orders

    def orders_again(self) -> list[Order]:
        """What new workers do: move in where the newest checkpoint is, and all that is wanted since."""
        move_in = replace(
            self.order, epoch=self.epoch, checkpoint=self.checkpoint, precision=self.precision, losses=self.losses
        )
        return [move_in, *[self._epoch()] * (self.wanted - self.epoch)]

    def end(self, fault: Fault, message: str, group_broken: bool = False) -> None:
        """The trial cannot go on in this group."""
        self.last_answer = Answer(
            self.order.trial, self.epoch, losses=self.losses, fault=fault, message=message, group_broken=group_broken
        )

    def _epoch(self) -> Order:
        order = self.order
        return Order("epoch", order.lease, order.trial, folder=order.folder, rungs=order.rungs)
