"""What is said while no worker group is ready: how far they are, or that there is no room."""

import pytest

from cifarray.engine.waiting import QUIET_SECONDS, SURE_SECONDS, HowFar, Waiting, how_far

PLACED, NO_ROOM, NOT_ASKED = HowFar(asked=1, placed=1), HowFar(asked=1, placed=0), HowFar()


def said(starts_at, until, ready=0):
    """What is told in each second from 0 on, where `starts_at` gives what Ray says in it: (second, what)."""
    waiting, found = Waiting(began=0.0), []
    for second in range(until):
        if waiting.is_long(second) and (what := waiting.say(second, starts_at(second), ready)):
            found.append((second, what))
    return found


@pytest.mark.parametrize("starts", [PLACED, NOT_ASKED])
def test_a_slow_machine_is_never_told_that_there_is_no_room_but_every_minute_how_far_it_is(starts):
    assert said(lambda second: starts, 200) == [(61, "slow"), (122, "slow"), (183, "slow")]


def test_no_room_is_told_once_and_not_before_it_is_sure():
    first = QUIET_SECONDS + 1 + SURE_SECONDS
    assert said(lambda second: NO_ROOM, 200) == [(first, "no room")]


def test_places_that_are_given_a_moment_later_were_not_missing():
    assert said(lambda second: NO_ROOM if second < 63 else PLACED, 70) == [(63, "slow")]


def test_a_group_that_waits_for_new_nodes_does_not_hide_one_that_comes_up():
    assert said(lambda second: HowFar(asked=2, placed=1), 70) == [(61, "slow")]


def test_with_a_group_that_is_ready_another_one_may_still_have_no_room():
    assert said(lambda second: HowFar(asked=2, placed=1), 70, ready=1) == [(66, "no room")]


@pytest.mark.parametrize(
    ("starts", "groups", "ready", "sentence"),
    [
        (NOT_ASKED, 1, 0, "the worker group has been starting for 75 s: Ray still starts the processes"),
        (HowFar(1, 1, 0), 1, 0, "2 of 2 workers have their places, 0 run; nothing is missing"),
        (HowFar(1, 1, 2), 1, 0, "2 of 2 workers have their places, 2 run and are loading their libraries; nothing"),
        # Of three groups, the two workers of one are ready.
        (HowFar(3, 2, 3), 3, 1, "2 worker groups have been starting for 75 s: 2 of 4 workers have their places, 1 run"),
    ],
)
def test_how_far_they_are_is_told_in_workers(starts, groups, ready, sentence):
    assert sentence in how_far(starts, groups, ready, workers=2, seconds=75.2)
