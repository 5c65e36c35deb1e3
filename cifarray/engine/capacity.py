"""How much fits: pure functions of what the nodes have and what a worker takes. Not here: asking Ray for the nodes."""

from collections.abc import Sequence
from dataclasses import dataclass

from cifarray.errors import StudyError


@dataclass(frozen=True)
class Node:
    """What one node of the cluster has in all."""

    cpus: float
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs"


@dataclass(frozen=True)
class WorkerResources:
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


@dataclass(frozen=True)
class Cluster:
    """The living nodes, and what an autoscaler may make of them."""

    nodes: tuple[Node, ...]
    can_grow: bool = False
    """Whether an autoscaler can add nodes, and has not added all it may."""
    fixed: tuple[Node, ...] = ()
    """Of `nodes` those that no autoscaler adds or takes away: the head."""
    addable: tuple[Node, ...] | None = None
    """All workers that the cluster file allows, each type up to its own maximum; None where that is not known."""
    max_workers: int = 0
    """At most so many of `addable` live at once."""

    def at_most(self, worker: "WorkerResources") -> tuple[Node, ...] | None:
        """The nodes when those that hold most such workers have been added; None where that is not known.

        What lives now counts as it is if it holds more: nodes may have joined that the cluster file does not know.
        """
        if not self.can_grow:
            return self.nodes
        if self.addable is None:
            return None
        best = sorted(self.addable, key=lambda node: (worker.fit_on(node), node.gpus, node.cpus), reverse=True)
        grown = (*self.fixed, *best[: self.max_workers])
        return max(grown, self.nodes, key=lambda nodes: sum(map(worker.fit_on, nodes)))


def groups_that_fit(nodes: Sequence[Node], worker: WorkerResources, workers: int) -> int:
    """Worker groups that the nodes hold at once: counted per node, since a worker cannot be split over two."""
    return sum(worker.fit_on(node) for node in nodes) // workers


def groups_to_open(cluster: Cluster, worker: WorkerResources, workers: int) -> int:
    """Worker groups to have at once: as many as fit now, and one that waits if the cluster can grow by what one takes.

    The one that waits is the demand that an autoscaler hears; when it has its nodes, the next one waits. Where nodes
    have died and none fits, one waits for them.
    """
    fitting = groups_that_fit(cluster.nodes, worker, workers)
    if cluster.can_grow:
        largest = cluster.at_most(worker)
        most = fitting + 1 if largest is None else groups_that_fit(largest, worker, workers)
        fitting = max(fitting, min(fitting + 1, most))
    return max(1, fitting)


def refuse_what_never_fits(cluster: Cluster, worker: WorkerResources, workers: int) -> None:
    """Raises StudyError if one worker fits on no node, or one group not on all of them together.

    Of a cluster that can grow all nodes count that its cluster file allows; unless nobody knows them.
    """
    nodes = cluster.at_most(worker)
    if nodes is None:
        return
    where = "the cluster at the maximum of its cluster file" if cluster.can_grow else "the cluster"
    largest = max(nodes, key=lambda node: (worker.fit_on(node), node.gpus, node.cpus), default=Node(0))
    if worker.fit_on(largest) == 0:
        raise StudyError(
            f"a worker needs {worker} and the largest node of {where} has {largest}: "
            "lower --cpus-per-worker or --gpus-per-worker, or add a larger node"
        )
    if groups_that_fit(nodes, worker, workers) == 0:
        total = sum(worker.fit_on(node) for node in nodes)
        raise StudyError(
            f"a trial needs {workers} workers with {worker} each; {total} fit on {where} "
            f"(the largest node has {largest}): set --workers {total} or add nodes"
        )


def what_is_missing(cluster: Cluster, worker: WorkerResources, workers: int, seconds: float, failed: str) -> str:
    """One sentence for a user whose trials wait. failed: why nodes could not be started, if they could not."""
    has = f"the {len(cluster.nodes)} living nodes have no room for them"
    remedy = "`ray status` shows who uses them; end other work, add nodes, or lower --workers"
    if cluster.can_grow:
        has += f", and nodes failed to start ({failed})" if failed else " and new ones are not there yet"
        remedy = "`ray status` and `ray monitor cluster.yaml` show what the autoscaler does"
    return (
        f"no worker group could start for {seconds:.0f} s: {workers} workers with {worker} each wait, {has}; "
        f"the study goes on as soon as there is room: {remedy}"
    )


def default_gpus_per_worker(cluster: Cluster) -> float:
    """GPUs of one worker where the user names none: one where there are, or can be, nodes with GPUs.

    Raises StudyError where no worker node lives yet and nothing tells what they will be.
    """
    if any(node.gpus for node in (*cluster.nodes, *(cluster.addable or ()))):
        return 1.0
    if cluster.can_grow and cluster.addable is None and len(cluster.nodes) <= len(cluster.fixed):
        raise StudyError(
            "no worker node lives yet and the head does not know whether those that come have GPUs: "
            "give --gpus-per-worker 1, or 0 to train on CPUs"
        )
    return 0.0


def default_cpus_per_worker(cluster: Cluster, workers: int, trials: int, gpus_per_worker: float) -> float:
    """CPUs of one worker where the user names none.

    With GPUs one core feeds each worker. Without, cores are the accelerator: they are shared out so that as many
    trials as possible run at once, and a study with few trials gives each worker more of them.
    """
    if gpus_per_worker:
        return 1.0
    nodes = cluster.at_most(WorkerResources(1.0)) or cluster.nodes
    cores = int(sum(node.cpus for node in nodes))
    at_once = max(1, min(trials, cores // workers))
    most = max((int(node.cpus) for node in nodes), default=1)
    return float(max(1, min(most, cores // (at_once * workers))))
