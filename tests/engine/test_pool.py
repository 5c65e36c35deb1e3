"""The pool on a real Ray with scripted groups: demand, growth, what is closed, and starts that fail."""

from types import SimpleNamespace

import pytest
from scripted import ScriptedGroup

from cifarray.engine import cluster, waiting
from cifarray.engine import pool as pool_module
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.failed_starts import GroupStartError
from cifarray.engine.orders import GroupSettings, NodeRequirements, RefusedError
from cifarray.engine.pool import Pool
from cifarray.engine.waiting import HowFar
from cifarray.study.faults import REFUSED_SECONDS
from cifarray.study.schedulers import Assignment

pytestmark = pytest.mark.timeout(90)

SETTINGS = GroupSettings(
    workers=2, cpus_per_worker=1.0, gpus_per_worker=0.0, scratch="", requirements=NodeRequirements({}, "")
)
WORKER = Node(2)


class WaitingGroup(ScriptedGroup):
    """Its workers find no room."""

    async def ready(self) -> list[str]:
        await self.changed.acquire()
        await self.changed.wait()
        return []


class FailingGroup(ScriptedGroup):
    async def ready(self) -> list[str]:
        raise RuntimeError("no workers today")


class RefusedGroup(ScriptedGroup):
    async def ready(self) -> list[str]:
        raise RefusedError("give a --storage that all nodes share")


@pytest.fixture
def events():
    return []


@pytest.fixture
def make_pool(ray_session, events, monkeypatch):
    """A pool that counts the nodes at each question; `nodes` is what lives, `most` the cluster file's workers."""
    made = []
    monkeypatch.setattr(pool_module, "LOOK_SECONDS", -1.0)

    def make(name, host=ScriptedGroup, nodes=(), most=(), limit=None):
        nodes = list(nodes)

        def look():
            return Cluster((Node(0), *nodes), len(nodes) < len(most), (Node(0),), tuple(most), len(most))

        pool = Pool(name, SETTINGS, events.extend, limit, look, host)
        made.append(pool)
        return pool, nodes

    yield make
    for pool in made:
        pool.close(timeout=0)


def names(events, kind):
    return [event.group.rsplit("-", 1)[1] for event in events if event.event == kind]


def move_in(pool, group):
    return pool.move_in(group, Assignment(0), {}, "")


def test_each_group_that_is_ready_makes_the_next_one_demand(make_pool, events):
    pool, nodes = make_pool("grows", most=[WORKER] * 3)
    for expected in (1, 2, 3):
        assert pool.tend_and_count() == expected
        move_in(pool, pool.acquire(remaining=9, wait=True))
        nodes.append(WORKER)
    assert pool.acquire(remaining=9, wait=False) is None
    assert names(events, "started") == ["0", "1", "2"]


def test_no_more_groups_than_asked_for(make_pool):
    pool, _ = make_pool("limited", nodes=[WORKER], most=[WORKER] * 9, limit=1)
    assert pool.tend_and_count() == 1


def test_groups_that_no_trial_needs_are_closed_waiting_ones_first(make_pool, events):
    pool, _ = make_pool("shrinks", nodes=[WORKER] * 2, most=[WORKER] * 2)
    busy = pool.acquire(remaining=9, wait=True)
    lease = move_in(pool, busy)
    spare = pool.acquire(remaining=9, wait=True).name.rsplit("-", 1)[1]
    pool._host = WaitingGroup
    pool._open()
    pool.release(remaining=3)
    assert names(events, "closed") == []
    pool.release(remaining=2)
    assert names(events, "closed") == ["2"]
    pool.release(remaining=1)
    assert names(events, "closed") == ["2", spare]
    pool.release(remaining=0)
    assert pool.groups == [busy], "a leased group stays"
    pool.give_back(busy.name, lease)
    pool.release(remaining=0)
    assert pool.groups == []


def test_a_group_that_waits_for_room_holds_nobody_up(make_pool):
    pool, _ = make_pool("waits", host=WaitingGroup, most=[WORKER])
    assert pool.acquire(remaining=1, wait=False) is None
    assert len(pool.groups) == 1


def test_three_starts_that_fail_on_living_nodes_end_the_study(make_pool, events):
    pool, _ = make_pool("fails", host=FailingGroup, nodes=[WORKER])
    with pytest.raises(GroupStartError, match="no workers today"):
        pool.acquire(remaining=1, wait=True)
    assert names(events, "started") == ["0", "1", "2"]


def test_starts_that_fail_while_nodes_die_do_not_count(make_pool, events, monkeypatch):
    """At each of the first two questions one node less lives."""
    lives = ["head", "a", "b"]

    def living_nodes():
        now = frozenset(lives)
        if len(lives) > 1:
            lives.pop()
        return now

    monkeypatch.setattr(cluster, "living_nodes", living_nodes)
    pool, _ = make_pool("unlucky", host=FailingGroup, nodes=[WORKER])
    with pytest.raises(GroupStartError):
        pool.acquire(remaining=1, wait=True)
    assert names(events, "started") == ["0", "1", "2", "3"]


def test_what_the_user_has_to_mend_ends_the_study_at_once(make_pool, events):
    pool, _ = make_pool("mend", host=RefusedGroup, nodes=[WORKER])
    with pytest.raises(GroupStartError, match="--storage"):
        pool.acquire(remaining=1, wait=True)
    assert names(events, "started") == ["0"]


@pytest.fixture
def clock(monkeypatch):
    """The pool's clock, which only moves on when it is told to: `clock.now += seconds`."""
    made = SimpleNamespace(now=0.0)
    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def pool_beside_refused_place(make_pool, clock):
    """It has one group, which is in use, and room for another one on a node that will refuse it."""
    pool, _ = make_pool("late", nodes=[WORKER] * 2)
    pool.limit = 1
    move_in(pool, pool.acquire(remaining=9, wait=True))
    pool.limit, pool._host = None, RefusedGroup
    return pool


def be_refused(pool):
    """One group more is tried, until its node has refused it."""
    assert pool.tend_and_count() == 2
    while pool.tend_and_count() == 2:
        assert pool.acquire(remaining=9, wait=False) is None


def test_a_late_node_that_lacks_something_does_not_end_a_study_that_has_a_group(
    pool_beside_refused_place, clock, events, caplog
):
    pool = pool_beside_refused_place
    be_refused(pool)
    assert "give a --storage that all nodes share; the study goes on with the worker group that it has" in caplog.text
    clock.now += REFUSED_SECONDS - 1
    assert pool.tend_and_count() == 1
    assert pool.acquire(remaining=9, wait=False) is None
    assert [group.name for group in pool.groups] == ["late/group-0"]
    assert names(events, "started") == ["0", "1"]


def test_a_place_that_refused_is_tried_again_after_a_while_for_somebody_may_have_mended_it(
    pool_beside_refused_place, clock, events
):
    pool = pool_beside_refused_place
    for _ in range(2):
        be_refused(pool)
        clock.now += REFUSED_SECONDS
    pool._host = ScriptedGroup
    while pool.acquire(remaining=9, wait=False) is None:
        assert pool.tend_and_count() == 2
    assert names(events, "started") == ["0", "1", "2", "3"]
    assert names(events, "replaced") == ["1", "2"]
    assert [group.name for group in pool.groups] == ["late/group-0", "late/group-3"]


def test_a_start_that_fails_on_a_node_that_came_and_died_does_not_count(make_pool, monkeypatch):
    """The node that a group waited for lived only in between: neither when it was opened nor when it failed."""
    living = iter([{"head"}, {"head", "new"}] + [{"head"}] * 99)
    monkeypatch.setattr(cluster, "living_nodes", lambda: frozenset(next(living)))
    monkeypatch.setattr(pool_module, "LOOK_SECONDS", 1e9)
    pool, _ = make_pool("brief", host=FailingGroup, nodes=[WORKER])
    pool._to_open = 1
    pool._looked = float("inf")
    pool._open()
    pool._looked = float("-inf")
    pool.tend()
    pool._welcome(timeout=30)
    assert pool._failed.nodes == []


def test_a_node_that_leaves_while_trials_run_is_told(make_pool, monkeypatch, caplog):
    living = {"head", "worker"}
    monkeypatch.setattr(cluster, "living_nodes", lambda: frozenset(living))
    monkeypatch.setattr(cluster, "addresses", lambda ids: [f"address of {name}" for name in ids])
    pool, _ = make_pool("left", nodes=[WORKER], limit=1)
    move_in(pool, pool.acquire(remaining=1, wait=True))
    living.remove("worker")
    pool.tend()
    pool.tend()
    assert caplog.text.count("node address of worker has left the cluster; trials that it took part in go on") == 1


def test_nodes_that_cannot_be_counted_for_once_end_nothing(make_pool, caplog):
    def away():
        raise RuntimeError("the head is busy")

    pool, _ = make_pool("uncounted", nodes=[WORKER])
    assert pool.tend_and_count() == 1
    pool._look = away
    assert pool.tend_and_count() == 1
    assert "the head is busy" in caplog.text
    fresh, _ = make_pool("never counted")
    fresh._look = away
    with pytest.raises(RuntimeError, match="busy"):
        assert fresh.tend_and_count()


NO_ROOM = HowFar(asked=1, placed=0)


@pytest.mark.parametrize(
    ("most", "starts", "sentence"),
    [
        (
            [],
            NO_ROOM,
            r"2 workers with 1 CPUs and 0 GPUs each wait, the 2 living nodes .* `ray status` .* lower --workers",
        ),
        ([WORKER] * 2, NO_ROOM, r"new ones are not there yet; .* `ray monitor cluster.yaml`"),
        ([], HowFar(asked=1, placed=1, up=1), r"2 of 2 workers have their places, 1 run .* nothing is missing"),
    ],
)
def test_who_waits_long_is_told_what_is_missing_and_where_to_look(make_pool, monkeypatch, most, starts, sentence):
    class ToldError(Exception):
        pass

    def tell(message):
        raise ToldError(message)

    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "SURE_SECONDS", 0.0)
    monkeypatch.setattr(pool_module.log, "warning", tell)
    pool, _ = make_pool("patient", host=WaitingGroup, nodes=[WORKER], most=most)
    pool._starts = lambda: starts
    with pytest.raises(ToldError, match=sentence):
        pool.acquire(remaining=1, wait=True)
