"""The pool: a study's worker groups, owned by the driver; trials lease one and it comes back.

Groups belong to no Tune actor: Tune keeps one idle actor in all and none after an exception, and each new group costs
many seconds. Here: opening as many as fit and closing those that no trial needs any more, waiting for them, leases,
replacing what broke. Not here: how many fit (`capacity`), which trial gets one (`driver`), what a group does
(`worker_group`).
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cifarray.engine import cluster
from cifarray.engine.capacity import Cluster, WorkerResources, groups_to_open, what_is_missing
from cifarray.engine.connection import NAMESPACE
from cifarray.engine.failed_starts import FailedStarts
from cifarray.engine.group import Group
from cifarray.engine.orders import GroupSettings, Order, RefusedError
from cifarray.engine.waiting import HowFar, Waiting, how_far
from cifarray.engine.worker_group import WorkerGroup
from cifarray.errors import PausedError
from cifarray.redaction import redact
from cifarray.study.events import Event, GroupChanged
from cifarray.study.faults import Losses
from cifarray.study.forecast import Pace
from cifarray.study.schedulers import Assignment

LOOK_SECONDS = 5.0
"""How often the nodes are counted again: some come, some die."""
HASTE_SECONDS = 1.0
"""How often for CLEARING_SECONDS after the end of a group: its workers' places are taken back then, for the next."""
CLEARING_SECONDS = 10.0
END_SECONDS = 3.0
"""How long the end of a study waits for its hosts' places to be free."""
LEAVE_SECONDS = 10.0
"""How long the workers of a group that nobody needs may take to go home; Train may be restarting them just then."""

log = logging.getLogger(__name__)


class Pool:
    """Worker groups of one study.

    limit: at most this many groups, or None for as many as fit; look: what the cluster has and may get; host: class
    of the host actor; starts: how far Ray is with the groups.
    """

    def __init__(
        self,
        study: str,
        settings: GroupSettings,
        journal: Callable[[Iterable[Event]], object],
        limit: int | None = None,
        look: Callable[[], Cluster] = cluster.look,
        host: type = WorkerGroup,
        starts: Callable[[], HowFar] = cluster.starts,
    ) -> None:
        self.study, self.settings, self.limit = study, settings, limit
        self.groups: list[Group] = []
        self.started = 0
        self._needs = WorkerResources(settings.cpus_per_worker, settings.gpus_per_worker)
        self._journal = journal
        self._host = host
        self._leases = 0
        self._failed = FailedStarts()
        self._leaving: list[tuple[Group, Any, float]] = []
        """Groups that were sent home, the pending answer, and when they are ended in any case."""
        self._killed: list[str] = []
        """What Train calls the runs of groups that were killed of late."""
        self._look = look
        self._starts = starts
        self._living: frozenset[str] = frozenset()
        self._to_open = 0
        self._looked = self._last_kill = float("-inf")

    @property
    def workers(self) -> int:
        """Of each group."""
        return self.settings.workers

    def tend(self) -> None:
        """From time to time: count the nodes again, take back what groups that were closed had asked for, and look
        whether all hosts still listen.

        To be called even when no trial waits for a group: what was asked for in vain keeps nodes.
        """
        clearing = time.monotonic() - self._last_kill <= CLEARING_SECONDS
        if time.monotonic() - self._looked <= (HASTE_SECONDS if clearing else LOOK_SECONDS):
            return
        self._reap(time.monotonic())
        self._end_deaf_hosts(time.monotonic())
        try:
            self._to_open = groups_to_open(self._look(), self._needs, self.settings.workers)
            living = cluster.living_nodes()
            if self.leased and self._living - living:
                log.warning(
                    "node %s has left the cluster; trials that it took part in go on from their checkpoints when there "
                    "is room",
                    ", ".join(cluster.addresses(self._living - living)),
                )
            self._living = living
            for group in self.groups:
                if group.ready is not None:
                    group.nodes |= living
            cluster.remove_orphaned_placement_groups()
        except Exception as error:  # What Ray's status raises is not documented; trials that run need no answer.
            if self._to_open == 0:
                raise
            log.warning("the nodes could not be counted, as many as before are taken: %s", error)
        self._looked = time.monotonic()

    def tend_and_count(self) -> int:
        """Groups to have open: as many as `capacity.groups_to_open` says; at most `limit`."""
        self.tend()
        most = self._to_open if self.limit is None else min(self._to_open, self.limit)
        return self._failed.most(most, time.monotonic())

    @property
    def leased(self) -> int:
        return sum(group.lease is not None for group in self.groups)

    def open(self, remaining: int) -> None:
        """Begin to start as many groups as fit, and no more than the `remaining` trials need."""
        while len(self.groups) < min(self.tend_and_count(), remaining):
            self._open()

    def acquire(self, remaining: int, wait: bool) -> Group | None:
        """A group that is free and warm; None if there is none now. `wait`: block until there is one.

        remaining: trials that still need a group; no more groups are opened than that.
        Raises GroupStartError if groups cannot be started.
        """
        self.open(remaining)
        waiting = Waiting(time.monotonic())
        while True:
            self._welcome(timeout=1.0 if wait and not self._free() else 0.0)
            free = self._free()
            if free or not wait:
                return free[0] if free else None
            self.open(remaining)
            if waiting.is_long(time.monotonic()):
                self._explain(waiting, time.monotonic())

    def _explain(self, waiting: Waiting, now: float) -> None:
        """Why no group is ready, if that is to be told."""
        starts, ready = self._starts(), sum(group.ready is None for group in self.groups)
        seconds = now - waiting.began
        match waiting.say(now, starts, ready):
            case "slow":
                log.warning(how_far(starts, len(self.groups), ready, self.settings.workers, seconds))
            case "no room":
                seen = self._look()
                failed = cluster.failed_launches() if seen.can_grow else ""
                log.warning(what_is_missing(seen, self._needs, self.settings.workers, seconds, failed))

    def release(self, remaining: int) -> None:
        """Close the groups that are more than the `remaining` trials need, so that their nodes become idle.

        Those that still wait for room go first.
        """
        unused = sorted(
            (group for group in self.groups if group.lease is None), key=lambda group: (group.ready is None, group.name)
        )
        reason = "no trial needs it any more"
        for group in unused[: max(0, len(self.groups) - remaining)]:
            if group.ready is not None:
                self._discard(group, "closed", reason)
                continue
            # Its Train run ends in order, and takes back what it asked of the autoscaler.
            self.groups.remove(group)
            self._leaving.append((group, group.host.leave.remote(), time.monotonic() + LEAVE_SECONDS))
            self._journal([GroupChanged(group=group.name, event="closed", reason=reason)])

    def move_in(self, group: Group, assignment: Assignment, config: Mapping[str, Any], folder: str) -> int:
        """Lease `group` to a trial. Returns the lease, which all that concerns this stay carries.

        folder: where the trial's checkpoints go.
        """
        self._leases += 1
        group.lease = self._leases
        order = Order(
            "move_in",
            group.lease,
            assignment.number,
            config,
            assignment.epoch,
            assignment.checkpoint,
            folder,
            assignment.precision,
            Losses(assignment.restarts, assignment.deaths),
            assignment.rungs,
        )
        group.host.move_in.remote(order)
        return group.lease

    def give_back(self, name: str, lease: int, broken: str | None = None) -> None:
        """End a lease; a `broken` group (why) is closed, and another is opened when one is needed."""
        for group in self.groups:
            if group.name == name and group.lease == lease:
                group.lease = None
                if broken is not None:
                    self._discard(group, "replaced", broken)
                return

    def is_alive(self, name: str) -> bool:
        """Whether the group's host still answers."""
        return any(group.name == name and group.answers() for group in self.groups)

    def paces(self, names: Iterable[str]) -> dict[int, Pace]:
        """By trial, how far the workers of these groups were when they told it last. For a view, from its thread."""
        wanted = frozenset(names)
        paces = [group.latest_pace() for group in list(self.groups) if group.name in wanted]
        return {pace.trial: pace for pace in paces if pace is not None}

    def close(self, timeout: float = 5.0) -> None:
        """Send all workers home; those that have not left after `timeout` seconds are killed."""
        refs = [group.host.leave.remote() for group in self.groups if group.ready is None and group.lease is None]
        refs.extend(ref for _, ref, _ in self._leaving)
        if refs:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.wait(refs, num_returns=len(refs), timeout=timeout)
        for group in list(self.groups):
            # Where the journal's disk is full, the groups end all the same.
            with contextlib.suppress(PausedError):
                self._discard(group, "closed", "the driver is done")
        self._reap_all()

    def kill(self) -> None:
        """End what is left at once; the journal, which may have had its last word, hears nothing of it."""
        for group in self.groups:
            self._kill(group)
        self.groups.clear()
        self._reap_all()

    def _free(self) -> list[Group]:
        return [group for group in self.groups if group.lease is None and group.ready is None]

    def _open(self) -> None:
        name = f"{self.study}/group-{self.started}"
        self.started += 1
        context = ray.get_runtime_context()
        host = (
            ray.remote(num_cpus=0)(self._host)
            .options(
                name=name,
                namespace=NAMESPACE,
                scheduling_strategy=NodeAffinitySchedulingStrategy(context.get_node_id(), soft=False),
            )
            .remote(self.settings)
        )
        host.open.remote()
        self.groups.append(Group(name, host, host.ready.remote(), host.requester.remote(), cluster.living_nodes()))
        self._journal([GroupChanged(group=name, event="started")])

    def _welcome(self, timeout: float) -> None:
        """Take in groups whose workers have come up; discard those that cannot."""
        pending = {group.ready: group for group in self.groups if group.ready is not None}
        if not pending:
            return
        done, _ = ray.wait(list(pending), timeout=timeout)
        for ref in done:
            group = pending[ref]
            if group not in self.groups:
                continue
            try:
                nodes = ray.get(ref)
            except ray.exceptions.RayError as error:
                cause = redact(str(getattr(error, "cause", None) or error).strip())
                self._discard(group, "replaced", cause)
                self._failed.take(
                    group,
                    cause,
                    refused=isinstance(error, RefusedError),
                    living=cluster.living_nodes(),
                    usable=sum(each.ready is None for each in self.groups),
                    groups=len(self.groups),
                    now=time.monotonic(),
                )
            else:
                group.ready = None
                self._failed.forget(len(self.groups))
                seconds = f"{time.monotonic() - group.opened:.1f} s"
                self._journal(
                    [GroupChanged(group=group.name, event="ready", reason=seconds, nodes=cluster.names(nodes))]
                )

    def _reap(self, now: float) -> None:
        """End the hosts of groups that have left, or had the time to."""
        for requester_id in self._killed:
            # The host may have asked once more while it was being ended.
            cluster.cancel_request(requester_id)
        self._killed.clear()
        for leaving in list(self._leaving):
            group, ref, deadline = leaving
            if now >= deadline or ray.wait([ref], timeout=0)[0]:
                self._leaving.remove(leaving)
                self._kill(group)

    def _reap_all(self) -> None:
        """At the end. A program that goes on, as a notebook, would keep what hosts had when they were killed."""
        self._reap(float("inf"))
        if self._last_kill > float("-inf"):
            cluster.free_places(END_SECONDS)

    def _end_deaf_hosts(self, now: float) -> None:
        """A host that is stopped or stuck would keep its trial for ever; killed, it costs that one a restart."""
        for group in self.groups:
            if group.ready is not None:
                continue
            silent = group.silent_for(now)
            if silent > self.settings.patience:
                log.warning("the host of worker group %s has not answered for %.0f s", group.name, silent)
                with contextlib.suppress(ray.exceptions.RayError):
                    ray.kill(group.host)

    def _kill(self, group: Group) -> None:
        self._last_kill = time.monotonic()
        self._killed += group.kill()

    def _discard(self, group: Group, event: Literal["replaced", "closed"], reason: str) -> None:
        self.groups.remove(group)
        self._kill(group)
        self._journal([GroupChanged(group=group.name, event=event, reason=reason)])
