"""The protocol between a group's host, its workers and the trial's actor, without Ray: the host is a plain object here.

Workers are coroutines that take orders and answer; time is the event loop's, and nobody waits for a clock.
"""

import asyncio
from dataclasses import replace

import pytest

from cifarray.engine import cluster
from cifarray.engine.orders import Answer, Failure, GroupSettings, NodeRequirements, Order
from cifarray.engine.worker_group import WorkerGroup
from cifarray.study.faults import MAX_LOSSES, Fault

SETTINGS = GroupSettings(1, cpus_per_worker=1.0, gpus_per_worker=0.0, scratch="", requirements=NodeRequirements({}, ""))


def move_in(lease, trial=0, checkpoint=None):
    return Order("move_in", lease, trial, {"epochs": 4}, checkpoint, f"/study/trial-{trial:04d}")


async def take_orders(host, rank=0, orders=99):
    """A worker that does at once whatever it is told; returns what it was told once it has had so many orders."""
    generation = await host.hello(rank, 100 + rank, f"actor-{rank}")
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
        await host.move_in(move_in(lease=1), epoch=0, restarts=0)
        first = await asyncio.gather(host.run_epoch(1, 1), host.run_epoch(1, 2))
        return first, await worker

    answers, told = asyncio.run(scene())
    assert [answer.epoch for answer in answers] == [1, 2]
    assert shown(told) == [("move_in", 1), ("epoch", 1), ("epoch", 1)]


def test_a_late_question_of_a_trial_that_has_left_orders_nothing():
    """The old trial's actor asks between two waits of the host, in which the next trial moves in."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        worker = asyncio.ensure_future(take_orders(host))
        await host.move_in(move_in(lease=1, trial=7), epoch=0, restarts=0)
        await host.changed.acquire()
        late = asyncio.ensure_future(host.run_epoch(1, 1))
        await settle()
        moved = asyncio.ensure_future(host.move_in(move_in(lease=2, trial=8), epoch=0, restarts=0))
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
        await host.move_in(move_in(lease=1), 0, 0)
        await host.move_in(move_in(lease=2, trial=1), 0, 0)
        await host.answer(1, Answer(0, 1, {"epoch": 1}, "/late"))
        return host.stay

    stay = asyncio.run(scene())
    assert (stay.answers, stay.checkpoint) == ({}, None)


def test_new_workers_repeat_the_stay_from_its_newest_checkpoint():
    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1, checkpoint="/study/trial-0000/1"), epoch=1, restarts=0)
        worker = asyncio.ensure_future(take_orders(host, orders=2))  # dies after epoch 2
        await host.run_epoch(1, 2)
        await worker
        again = asyncio.ensure_future(take_orders(host, orders=2))
        asked = await host.run_epoch(1, 3)
        return asked, await again

    answer, told = asyncio.run(scene())
    assert answer.epoch == 3
    assert answer.restarts == 1
    assert told[0].checkpoint == "/study/trial-0000/2"
    assert shown(told) == [("move_in", 1), ("epoch", 1)]


@pytest.mark.parametrize("before", range(MAX_LOSSES))
def test_the_third_death_of_its_workers_is_left_to_the_driver(before):
    """Deaths of earlier stays count too."""

    async def scene():
        host = WorkerGroup(SETTINGS)
        await host.move_in(move_in(lease=1), epoch=0, restarts=before)
        await host.hello(0, 100, "first")
        for pid in range(101, 101 + MAX_LOSSES - before):
            assert host.stay.ending is None
            await host.hello(0, pid, "next")
        return await host.run_epoch(1, 1)

    answer = asyncio.run(scene())
    assert answer.fault is Fault.WORKERS_DIED
    assert answer.restarts == MAX_LOSSES - 1


def test_of_two_ranks_the_graver_fault_is_told_and_an_unclean_one_costs_the_group(monkeypatch):
    monkeypatch.setattr(cluster, "any_dead", lambda actors: False)

    async def scene(clean):
        host = WorkerGroup(replace(SETTINGS, workers=2))
        generation = await host.hello(0, 1, "a")
        await host.hello(1, 2, "b")
        await host.move_in(move_in(lease=1), 0, 0)
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
    assert (answer.fault, answer.message, answer.replace) == (Fault.OUT_OF_MEMORY, "full", True)
