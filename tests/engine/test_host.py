"""The protocol between a group's host, its workers and the trial's actor, without Ray: the host is a plain object here.

Workers are coroutines that take orders and answer; time is the event loop's, and nobody waits for a clock.
"""

import asyncio
import threading
import time
from dataclasses import replace

import pytest

from cifarray.engine import cluster
from cifarray.engine.liveness import START_SECONDS
from cifarray.engine.orders import Answer, Failure, GroupSettings, NodeRequirements, Order, WorkerProcess
from cifarray.engine.worker_group import WorkerGroup
from cifarray.study.faults import MAX_DEATHS, MAX_FAILED_STARTS, Fault, Losses

pytestmark = pytest.mark.timeout(20)
SETTINGS = GroupSettings(1, cpus_per_worker=1.0, gpus_per_worker=0.0, scratch="", requirements=NodeRequirements({}, ""))


def move_in(lease, trial=0, epoch=0, checkpoint=None, losses=None):
    folder = f"/study/trial-{trial:04d}"
    return Order("move_in", lease, trial, {"epochs": 4}, epoch, checkpoint, folder, losses=losses or Losses())


async def begin(host, *ranks, pid=100):
    """New workers of these ranks, which must have rank 0 among them; their generation."""
    generation = await host.begin()
    for rank in ranks:
        await host.hello(generation, rank, WorkerProcess(pid + rank, f"actor-{rank}"))
    return generation


async def take_orders(host, rank=0, orders=99):
    """A worker that does at once whatever it is told; returns what it was told once it has had so many orders."""
    generation = await begin(host, rank)
    told, epoch = [], 0
    while len(told) < orders:
        order = await host.next_order(generation, rank, len(told))
        told.append(order)
        if order.kind == "leave":
            break
        if order.kind == "move_in":
            epoch = int((order.checkpoint or "/0").rpartition("/")[2])
        else:
            epoch += 1
            address = f"{order.folder}/{epoch}"
            await host.answer(order.lease, Answer(order.trial, epoch, {"epoch": epoch}, address))
    return told


def shown(orders):
    return [(order.kind, order.lease) for order in orders]


async def settle():
    """Let every coroutine go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_an_epoch_is_ordered_once_however_often_it_is_asked_for():
    async def scene():
        host = WorkerGroup(SETTINGS)
        worker = asyncio.ensure_future(take_orders(host, orders=3))
        await host.move_in(move_in(lease=1))
        first = await asyncio.gather(host.run_epoch(1, 1), host.run_epoch(1, 2))
        return first, await worker

    answers, told = asyncio.run(scene())
    assert [answer.epoch for answer in answers] == [1, 2]
    assert shown(told) == [("move_in", 1), ("epoch", 1), ("epoch", 1)]


def test_the_next_epoch_is_ordered_while_a_checkpoint_is_written_and_no_more_than_that():
    """Rank 0 has trained epochs 1 and 2, and of neither a checkpoint is stored."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        await host.move_in(move_in(lease=1))
        asked = asyncio.ensure_future(host.run_epoch(1, 1))
        told = [await host.next_order(generation, 0, index) for index in range(2)]
        await host.trained(1, 1)
        told.append(await asyncio.wait_for(host.next_order(generation, 0, 2), timeout=1))
        await host.trained(1, 2)
        ahead = asyncio.ensure_future(host.next_order(generation, 0, 3))
        await settle()
        assert not ahead.done()
        assert not asked.done()
        await host.answer(1, Answer(0, 1, {"epoch": 1}, "/1"))
        first = await asked
        asked = asyncio.ensure_future(host.run_epoch(1, 2))
        told.append(await asyncio.wait_for(ahead, timeout=1))
        await host.answer(1, Answer(0, 2, {"epoch": 2}, "/2"))
        return [first, await asked], told

    answers, told = asyncio.run(scene())
    assert [(answer.epoch, answer.checkpoint) for answer in answers] == [(1, "/1"), (2, "/2")]
    assert shown(told) == [("move_in", 1), ("epoch", 1), ("epoch", 1), ("epoch", 1)]


def test_workers_that_die_while_a_checkpoint_is_written_go_on_from_the_one_before():
    """Epoch 2 is trained and not stored, epoch 3 has begun: both are done again."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        await host.move_in(move_in(lease=1, epoch=1, checkpoint="/study/trial-0000/1"))
        asked = asyncio.ensure_future(host.run_epoch(1, 2))
        for index in range(2):
            await host.next_order(generation, 0, index)
        await host.trained(1, 2)
        await host.next_order(generation, 0, 2)
        told = await take_orders(host, orders=3)
        return told, await asked, await host.run_epoch(1, 3)

    told, *answers = asyncio.run(scene())
    assert told[0].checkpoint == "/study/trial-0000/1"
    assert shown(told) == [("move_in", 1), ("epoch", 1), ("epoch", 1)]
    assert [answer.epoch for answer in answers] == [2, 3]


def test_who_has_trained_an_epoch_of_an_old_stay_goes_on_with_nothing():
    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        await host.move_in(move_in(lease=1))
        await host.move_in(move_in(lease=2, trial=1))
        await host.trained(1, 0)
        told = [await host.next_order(generation, 0, index) for index in range(2)]
        idle = asyncio.ensure_future(host.next_order(generation, 0, 2))
        await settle()
        return shown(told), idle.done()

    assert asyncio.run(scene()) == ([("move_in", 1), ("move_in", 2)], False)


def test_a_late_question_of_a_trial_that_has_left_orders_nothing():
    """The old trial's actor asks between two waits of the host, in which the next trial moves in."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        worker = asyncio.ensure_future(take_orders(host))
        await host.move_in(move_in(lease=1, trial=7))
        await host.changed.acquire()
        late = asyncio.ensure_future(host.run_epoch(1, 1))
        await settle()
        moved = asyncio.ensure_future(host.move_in(move_in(lease=2, trial=8)))
        host.changed.release()
        await moved
        answer = await host.run_epoch(2, 1)
        late_answer = await late
        host.ended = True
        leaving = asyncio.ensure_future(host.leave())
        told = await worker
        await leaving
        return answer, late_answer, told

    answer, late, told = asyncio.run(scene())
    assert answer.trial == 8
    assert late.fault is Fault.LEASE_ENDED or late.trial == 7
    leases = [order.lease for order in told if order.kind == "epoch"]
    moved = [order.lease for order in told if order.kind == "move_in"]
    # No epoch of the old trial after the new one has moved in.
    places = {order.lease: place for place, order in enumerate(told) if order.kind == "move_in"}
    assert all(place < places[2] for place, order in enumerate(told) if order.kind == "epoch" and order.lease == 1)
    assert moved == [1, 2]
    assert leases[-1] == 2


def test_a_late_answer_of_an_old_stay_is_ignored():
    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1))
        await host.move_in(move_in(lease=2, trial=1))
        await host.answer(1, Answer(0, 1, {"epoch": 1}, "/late"))
        return host.stay

    stay = asyncio.run(scene())
    assert (stay.answers, stay.checkpoint) == ({}, None)


def test_a_question_of_a_trial_that_has_left_is_answered_at_once():
    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1))
        await host.move_in(move_in(lease=2, trial=1))
        return await asyncio.wait_for(host.run_epoch(1, 1), timeout=1)

    assert asyncio.run(scene()).fault is Fault.LEASE_ENDED


def test_no_epoch_is_ordered_for_a_trial_that_has_its_ending():
    """New workers have never heard of the trial."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        await begin(host, 0)
        await host.move_in(move_in(lease=1))
        host.stay.end(Fault.HUNG, "no progress", group_broken=True)
        await begin(host, 0)
        return await host.run_epoch(1, 1), host.sequence.orders

    answer, orders = asyncio.run(scene())
    assert answer.fault is Fault.HUNG
    assert orders == []


def test_a_late_answer_takes_the_trial_back_to_no_older_checkpoint():
    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1))
        for epoch in (1, 2, 3, 1):
            await host.answer(1, Answer(0, epoch, {}, f"/study/trial-0000/{epoch}"))
        return host.stay

    stay = asyncio.run(scene())
    assert (stay.epoch, stay.checkpoint) == (3, "/study/trial-0000/3")


def test_a_trial_that_died_too_often_hears_of_no_epoch_that_comes_later():
    """It would have a checkpoint before the last of its deaths, and its end would be for nothing."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1, losses=Losses(total=2, deaths=MAX_DEATHS - 1)))
        generation = await begin(host, 0)
        await host.next_order(generation, 0, 0)
        await begin(host, 0)
        await host.answer(1, Answer(0, 1, {"epoch": 1}, "/late"))
        return await host.run_epoch(1, 1)

    assert asyncio.run(scene()).fault is Fault.WORKERS_DIED


def test_new_workers_repeat_the_stay_from_its_newest_checkpoint():
    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1, epoch=1, checkpoint="/study/trial-0000/1"))
        worker = asyncio.ensure_future(take_orders(host, orders=2))  # dies after epoch 2
        await host.run_epoch(1, 2)
        await worker
        again = asyncio.ensure_future(take_orders(host, orders=2))
        asked = await host.run_epoch(1, 3)
        return asked, await again

    answer, told = asyncio.run(scene())
    assert answer.epoch == 3
    assert answer.losses.total == 1
    assert told[0].checkpoint == "/study/trial-0000/2"
    assert shown(told) == [("move_in", 1), ("epoch", 1)]


def test_new_workers_go_on_in_the_number_format_of_the_epochs_that_were():
    """Told by an epoch that has no checkpoint yet: the old workers were on other hardware, perhaps."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        await host.move_in(move_in(lease=1))
        asked = asyncio.ensure_future(host.run_epoch(1, 1))
        for index in range(2):
            await host.next_order(generation, 0, index)
        await host.answer(1, Answer(0, 1, {"epoch": 1}, precision="bf16"))
        await asked
        return await host.next_order(await begin(host, 0), 0, 0)

    order = asyncio.run(scene())
    assert (order.kind, order.epoch, order.checkpoint, order.precision) == ("move_in", 0, None, "bf16")
    assert order.losses.total == 1


@pytest.mark.parametrize("before", range(MAX_DEATHS))
def test_the_third_death_of_its_workers_is_left_to_the_driver(before):
    """Deaths of earlier stays count too."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        waiting = asyncio.ensure_future(host.next_order(generation, 0, 0))
        await host.move_in(move_in(lease=1, losses=Losses(total=before, deaths=before)))
        await waiting
        for deaths in range(before + 1, MAX_DEATHS + 1):
            generation = await begin(host, 0)
            if deaths < MAX_DEATHS:
                assert host.stay.last_answer is None
                await host.next_order(generation, 0, 0)
        return await host.run_epoch(1, 1)

    answer = asyncio.run(scene())
    assert answer.fault is Fault.WORKERS_DIED
    assert answer.losses.deaths == MAX_DEATHS - 1


def test_workers_of_two_generations_are_never_taken_for_one_group():
    """Rank 1 dies after rank 0 said hello; of the next workers rank 1 is the first to come up."""

    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=2))
        ready = asyncio.ensure_future(host.ready())
        first = await host.begin()
        await host.hello(first, 0, WorkerProcess(100, "a"))
        orphan = asyncio.ensure_future(host.next_order(first, 0, 0))
        second = await host.begin()
        await host.hello(first, 1, WorkerProcess(101, "late"))
        late = await host.next_order(first, 1, 0)
        await host.hello(second, 1, WorkerProcess(201, "b"))
        ranks = [asyncio.ensure_future(host.next_order(second, 1, 0))]
        await settle()
        assert not host.sequence.is_done()
        await host.hello(second, 0, WorkerProcess(200, "c"))
        ranks.append(asyncio.ensure_future(host.next_order(second, 0, 0)))
        await asyncio.wait_for(ready, timeout=1)
        await host.move_in(move_in(lease=1))
        return late, await orphan, await host.worker_pids(), [await each for each in ranks]

    late, orphan, pids, orders = asyncio.run(scene())
    assert late.kind == orphan.kind == "leave"
    assert pids == {0: 200, 1: 201}
    assert [order.kind for order in orders] == ["move_in", "move_in"]


def test_the_workers_that_began_last_are_the_present_ones(monkeypatch):
    """Of the second ones rank 0 has died while Ray was asked for nodes, and Ray answers the third ones first."""
    third_is_there = threading.Event()
    answers = iter([third_is_there.wait, lambda: None])

    def any_node_gone(nodes):
        next(answers)()
        return False

    monkeypatch.setattr(cluster, "any_node_gone", any_node_gone)

    async def scene():
        host = WorkerGroup(SETTINGS)
        await begin(host, 0)
        await host.move_in(move_in(lease=1))
        second = asyncio.ensure_future(host.begin())
        await settle()
        third = await begin(host, 0)
        third_is_there.set()
        await second
        return await asyncio.wait_for(host.next_order(third, 0, 0), timeout=1)

    assert asyncio.run(scene()).kind == "move_in"


def test_deaths_of_workers_that_never_were_are_not_the_trials():
    """The first generation is ready and dies; of the next ones rank 1 never comes."""

    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=2))
        generation = await begin(host, 0, 1)
        await host.move_in(move_in(lease=1))
        await asyncio.gather(*(host.next_order(generation, rank, 0) for rank in (0, 1)))
        asked = asyncio.ensure_future(host.run_epoch(1, 1))
        for _ in range(MAX_FAILED_STARTS):
            orphan = asyncio.ensure_future(host.next_order(await begin(host, 0), 0, 0))
            await settle()
        losses = host.stay.losses
        await begin(host, 0)
        return losses, (await orphan).kind, await asyncio.gather(asked, return_exceptions=True)

    losses, orphan, (error,) = asyncio.run(scene())
    assert (losses.total, losses.deaths) == (1, 1)
    assert orphan == "leave"
    assert "died 3 times before they were ready" in str(error)


def test_ranks_move_in_together():
    """Rank 0 has failed alone and rank 1 is still in a collective of the trial that has left: they must not meet."""

    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=2))
        generation = await begin(host, 0, 1)
        await host.move_in(move_in(lease=1))
        await asyncio.gather(*(host.next_order(generation, rank, 0) for rank in (0, 1)))
        await host.move_in(move_in(lease=2, trial=1))
        await host.failed(generation, 0, 1, Failure(Fault.RAISED, "ZeroDivisionError", clean=True))
        first = asyncio.ensure_future(host.next_order(generation, 0, 1))
        await settle()
        alone = first.done()
        second = await host.next_order(generation, 1, 1)
        return alone, await first, second

    alone, *orders = asyncio.run(scene())
    assert not alone
    assert shown(orders) == [("move_in", 2), ("move_in", 2)]


@pytest.mark.parametrize("settled", [False, True])
def test_nobody_moves_in_after_a_trial_that_broke_the_group(settled):
    """Whoever was to hear of it is dead, so that the driver takes the group for a good one."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        generation = await begin(host, 0)
        await host.move_in(move_in(lease=1))
        await host.next_order(generation, 0, 0)
        if settled:
            host.stay.end(Fault.RAISED, "ZeroDivisionError", group_broken=True)
        else:
            await host.failed(generation, 0, 1, Failure(Fault.RAISED, "ZeroDivisionError", clean=False))
        await host.move_in(move_in(lease=2, trial=1))
        await host.run_epoch(2, 1)

    with pytest.raises(RuntimeError, match="a trial that had left broke the group: ZeroDivisionError"):
        asyncio.run(scene())


def test_workers_that_die_before_they_are_ready_end_the_group_with_the_reason():
    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=2))
        for pid in range(MAX_FAILED_STARTS + 1):
            await begin(host, 0, pid=pid)
            await host.workers_failed("worker 1: ImportError: no module named cv2")
        await host.ready()

    with pytest.raises(RuntimeError, match="died 3 times before they were ready: worker 1: ImportError: no module"):
        asyncio.run(scene())


def test_workers_that_die_before_any_of_them_came_up_end_the_group_with_the_reason():
    """As where torch cannot be loaded: Train alone knows of them."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        for _ in range(MAX_FAILED_STARTS):
            assert host.error is None
            await host.workers_failed("worker 0: ActorDiedError: SIGILL")
        await host.ready()

    with pytest.raises(RuntimeError, match="died 3 times before they were ready: worker 0: ActorDiedError: SIGILL"):
        asyncio.run(scene())


def test_a_rank_that_never_comes_up_ends_the_group_and_is_named():
    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=3))
        generation = await begin(host, 0)
        waiting = asyncio.ensure_future(host.next_order(generation, 0, 0))
        await settle()
        now = time.monotonic()
        await host._end_if_it_never_starts(now + START_SECONDS - 10)
        assert host.error is None
        await host._end_if_it_never_starts(now + START_SECONDS + 10)
        waiting.cancel()
        await host.ready()

    with pytest.raises(RuntimeError, match="worker 1, 2 of 3 did not come up within 300 s"):
        asyncio.run(scene())


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("dead", [False, True])
def test_a_rank_0_that_never_begins_is_missed_unless_it_is_dead(monkeypatch, generation, dead):
    """Of the first workers, and of those that are started again in mid-trial; of the dead, Train starts new ones."""
    monkeypatch.setattr(cluster, "any_dead", lambda actors: dead and list(actors) == ["newcomer"])
    monkeypatch.setattr(cluster, "any_node_gone", lambda nodes: False)

    async def scene():
        host = WorkerGroup(SETTINGS)
        if generation == 2:
            first = await begin(host, 0)
            await host.move_in(move_in(lease=1))
            await host.next_order(first, 0, 0)
        await host.arrive("newcomer")
        now = time.monotonic()
        await host._end_if_it_never_starts(now + START_SECONDS - 10)
        assert host.error is None
        await host._end_if_it_never_starts(now + START_SECONDS + 10)
        late = host.error
        await begin(host, 0)
        await host._end_if_it_never_starts(time.monotonic() + START_SECONDS - 10)
        return late, host.error

    late, after = asyncio.run(scene())
    assert late == after
    assert late is None if dead else "worker 0 of 1 was not ready 300 s after its process came up" in late


def test_a_worker_that_makes_no_progress_costs_the_trial_its_stay_and_the_group_its_life():
    """It said that it would be heard of within 90 s; the other rank waits for orders and is not to blame."""

    async def scene():
        host = WorkerGroup(replace(SETTINGS, workers=2, patience=60.0))
        generation = await begin(host, 0, 1)
        await host.move_in(move_in(lease=1))
        asked = asyncio.ensure_future(host.run_epoch(1, 1))
        for index in (0, 1):
            await asyncio.gather(*(host.next_order(generation, rank, index) for rank in (0, 1)))
        idle = asyncio.ensure_future(host.next_order(generation, 1, 2))
        await host.progress(generation, 0, 90.0)
        await settle()
        now = time.monotonic()
        async with host.changed:
            host._end_if_stuck(now + 80.0)
            assert host.stay.last_answer is None
            host._end_if_stuck(now + 100.0)
        idle.cancel()
        return await asked

    answer = asyncio.run(scene())
    assert (answer.fault, answer.group_broken) == (Fault.HUNG, True)
    assert answer.message == "worker 0 (process 100) has made no progress for 90 s"


def test_of_two_ranks_the_graver_fault_is_told_and_an_unclean_one_costs_the_group(monkeypatch):
    monkeypatch.setattr(cluster, "any_dead", lambda actors: False)

    async def scene(clean):
        host = WorkerGroup(replace(SETTINGS, workers=2))
        generation = await begin(host, 0, 1)
        await host.move_in(move_in(lease=1))
        waiting = [asyncio.ensure_future(host.next_order(generation, rank, 2)) for rank in (0, 1)]
        asked = asyncio.ensure_future(host.run_epoch(1, 1))
        await settle()
        await host.failed(generation, 1, 1, Failure(Fault.RANK_LOST, "connection closed", clean=False))
        await host.failed(generation, 0, 1, Failure(Fault.OUT_OF_MEMORY, "full", clean))
        answer = await asked
        for each in waiting:
            each.cancel()
        return answer

    answer = asyncio.run(scene(clean=True))
    assert (answer.fault, answer.message, answer.group_broken) == (Fault.OUT_OF_MEMORY, "full", True)
