"""The orders of a worker group, one sequence that every rank follows to the letter, and where each rank is in it.

So all ranks meet in the same collectives. Not here: which orders there are and when (`worker_group`).
"""

from collections.abc import Iterable

from cifarray.engine.orders import Order

_DONE = Order("epoch")


class Sequence:
    """Of one generation of workers."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.orders: list[Order] = []
        self.waiting: dict[int, int] = {}
        """By rank, the index of the order that it waits for."""
        self._asked: dict[int, int] = {}
        """By rank, the index of the order that it asked for last."""

    def extend(self, orders: Iterable[Order]) -> None:
        self.orders.extend(orders)

    def ask(self, rank: int, index: int) -> None:
        """The rank has done all orders before this one."""
        self.waiting[rank] = self._asked[rank] = index

    def take(self, rank: int, index: int) -> Order:
        """One that is due."""
        self.waiting.pop(rank, None)
        return self.orders[index]

    def is_due(self, index: int) -> bool:
        """Ranks move in together: one that has failed alone may have left the others in a collective."""
        if index >= len(self.orders):
            return False
        return self.orders[index].kind != "move_in" or (not self.missing() and min(self._asked.values()) >= index)

    def missing(self) -> list[int]:
        """Ranks that never asked for an order."""
        return [rank for rank in range(self.workers) if rank not in self._asked]

    def is_done(self) -> bool:
        """Whether all ranks wait for an order that is not there yet."""
        return len(self.waiting) == self.workers and all(index == len(self.orders) for index in self.waiting.values())

    def forget_done(self) -> None:
        """Keep the places of orders, but not the configs of trials that have left."""
        reached = min(self.waiting.values(), default=0) if len(self.waiting) == self.workers else 0
        for index in range(reached - 1, -1, -1):
            if self.orders[index] is _DONE:
                break
            self.orders[index] = _DONE
