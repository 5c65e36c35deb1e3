"""How much fits: pure functions of what the nodes have and what a worker needs. Not here: asking Ray for the nodes."""

from collections.abc import Sequence
from dataclasses import dataclass


class StudyError(ValueError):
    """A study that cannot run as it is; the message is one sentence for the user."""


@dataclass(frozen=True)
class Node:
    """What one node of the cluster has in all."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs"


@dataclass(frozen=True)
class WorkerNeeds:
    """What one DDP worker takes."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs"

    def fit_on(self, node: Node) -> int:
        """How many such workers one node holds."""
        counts = [int(node.cpus / self.cpus + 1e-9)] if self.cpus else []
        if self.gpus:
            counts.append(int(node.gpus / self.gpus + 1e-9))
        return min(counts)


def groups_that_fit(nodes: Sequence[Node], needs: WorkerNeeds, workers: int) -> int:
    """Worker groups that the nodes hold at once: counted per node, since a worker cannot be split over two."""
    return sum(needs.fit_on(node) for node in nodes) // workers


def refuse_what_never_fits(nodes: Sequence[Node], needs: WorkerNeeds, workers: int, can_grow: bool) -> None:
    """Raises StudyError if one worker fits on no node, or one group not on all of them together.

    A cluster that can grow may yet get such nodes; there only a GPU fraction that NCCL cannot use is refused.
    """
    if 0 < needs.gpus < 1 and workers > 1:
        raise StudyError(
            f"gpus_per_worker {needs.gpus:g} with {workers} workers cannot run: NCCL allows no two workers on one GPU; "
            "set --workers 1, or a whole GPU per worker"
        )
    if can_grow:
        return
    largest = max(nodes, key=lambda node: (needs.fit_on(node), node.gpus, node.cpus), default=Node(0))
    if needs.fit_on(largest) == 0:
        raise StudyError(
            f"a worker needs {needs} and the largest node has {largest}: "
            "lower --cpus-per-worker or --gpus-per-worker, or add a larger node"
        )
    if groups_that_fit(nodes, needs, workers) == 0:
        total = sum(needs.fit_on(node) for node in nodes)
        raise StudyError(
            f"a trial needs {workers} workers with {needs} each; {total} fit on the cluster "
            f"(the largest node has {largest}): set --workers {total} or add nodes"
        )


def default_cpus_per_worker(nodes: Sequence[Node], workers: int, trials: int, gpus_per_worker: float) -> float:
    """CPUs of one worker where the user names none.

    With GPUs one core feeds each worker. Without, cores are the accelerator: they are shared out so that as many
    trials as possible run at once, and a study with few trials gives each worker more of them.
    """
    if gpus_per_worker:
        return 1.0
    cores = int(sum(node.cpus for node in nodes))
    at_once = max(1, min(trials, cores // workers))
    most = max((int(node.cpus) for node in nodes), default=1)
    return float(max(1, min(most, cores // (at_once * workers))))
