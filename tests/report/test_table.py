"""The live table at the sizes of usual terminals: what must be readable is, whatever varies."""

import re

import pytest
from rich.console import Console
from scenes import Scene

from cifarray import recipes
from cifarray.config import TrainConfig
from cifarray.report.lines import LineView
from cifarray.report.live import TableView, view_for
from cifarray.report.progress import say_left
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import GroupChanged
from cifarray.study.forecast import Interval, Pace
from cifarray.study.schedulers import FreezeThaw, RunAll
from search_spaces import pyramidnet, tricks

SPACE = SearchSpace("toy", TrainConfig(epochs=4), {"batch_size": choice(*range(64, 264))})
PYRAMIDS = pyramidnet.space.pin({"epochs": 20})
SLOPE = {"model.depth": 110, "model.bottleneck": False, "model.widening": "multiplicative", "model.alpha": 4.75}
SIZES = [(80, 24), (120, 35)]


def table_of(space, size, num_trials=14, **options):
    scene = Scene(TableView, space, num_trials, *size, **options)
    scene.view.stop()
    return scene


def screen(scene):
    """What is drawn now."""
    scene.text.truncate(0)
    scene.text.seek(0)
    scene.view.console.print(scene.view.draw())
    return scene.text.getvalue()


def words(scene):
    """As lines are broken anywhere."""
    return " ".join(screen(scene).split())


def row(text, number):
    return next(line.split() for line in text.splitlines() if re.match(rf" +{number} ", line))


@pytest.mark.parametrize("size", SIZES)
def test_every_value_of_five_fields_is_readable(size):
    scene = table_of(PYRAMIDS, size)
    scene.begins(0, {**SLOPE, "optimizer.lr": 0.05})
    scene.epoch(0, 1, 0.25)
    text = screen(scene)
    assert {"110", "False", "multiplicative", "4.75", "0.05", "25.00", "running", "1/20"} <= set(row(text, 0))
    head = text.partition(" 0 ")[0].split()
    assert head.count("depth") == head.count("bottleneck") == head.count("lr") == 1, "named once, without the prefix"
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= size[0]


@pytest.mark.parametrize("size", SIZES)
def test_what_has_no_room_is_counted_and_all_of_the_best_is_told(size):
    """Seventeen fields."""
    space = tricks.space("resnet_fast", recipes.get("resnet_fast"))
    scene = table_of(space, size)
    params = scene.state.sample(0)
    scene.begins(0, params)
    scene.epoch(0, 1, 0.25)
    text = screen(scene)
    shown = len(row(text, 0)) - len(["0", "running", "1/5", "25.00", "%"])
    assert f"no room for {len(space.domains) - shown} more that vary" in text
    best = " ".join(text.partition("best so far")[2].split())
    for name in ("label_smoothing", "clip_norm", "policy"):
        assert f"{name} " in best
    assert "…" not in text


def test_an_epoch_s_progress_is_that_of_its_workers():
    for size in SIZES:
        scene = table_of(PYRAMIDS, size, num_trials=1, scheduler=RunAll())
        scene.begins(0, {**SLOPE, "optimizer.lr": 0.05})
        scene.epoch(0, 1, 0.25)
        scene.view.paces = {0: Pace(0, 2, 34, 100, 128, 2345.0)}
        text = screen(scene)
        assert "1/20 +34 %" in text
        assert "2,345 images/s" in text
        assert ("34/100" in text) == (size[0] == 120)
        # 18.66 epochs of 30 s.
        assert "about 10 min left" in text
        scene.view.paces = {0: Pace(0, 3, 10, 100, 128, 2345.0)}
        assert "1/20 +110 %" in screen(scene), "the checkpoint of the second epoch is being written"
        scene.view.paces = {0: Pace(0, 1, 99, 100, 128, 2345.0)}
        assert "%" not in " ".join(row(screen(scene), 0)).partition("25.00")[0], "an epoch that is over"


def test_the_groups_of_trials_that_are_drawn_are_asked_for_their_pace():
    asked = []

    def ask(groups):
        asked.extend(groups)
        scene.view._stopped.set()
        return {1: Pace(1, 1, 5, 10, 64)}

    scene = table_of(SPACE, (80, 24))
    scene.begins(0, group="a")
    scene.begins(1, group="b")
    screen(scene)
    scene.view._stopped.clear()
    scene.view._ask(ask)
    assert asked == ["a", "b"]
    assert "0/4 +50 %" in screen(scene)


def test_the_best_so_far_may_still_run_and_is_marked():
    scene = table_of(SPACE, (80, 24), scheduler=RunAll())
    scene.begins(0)
    for epoch in range(1, 5):
        scene.epoch(0, epoch, 0.5)
    assert "best so far 50.00 %: trial 0 after epoch 4 of 4, completed batch_size 64" in words(scene)
    scene.begins(1)
    scene.epoch(1, 1, 0.6)
    text = words(scene)
    assert "best so far 60.00 %: trial 1 after epoch 1 of 4, running; of the completed 50.00 %: trial 0" in text
    assert "1 of 14 trials done · 1 running" in text


def test_paused_trials_are_counted_and_epochs_where_these_are_what_is_spent():
    """2 of 16: 5 · 1 + 3 · 1 + 2 · 2 epochs of five trials, and 4 of the base point."""
    scene = table_of(SPACE, (80, 24), num_trials=5, scheduler=FreezeThaw())
    scene.begins(0, params={"batch_size": 128})
    scene.begins(1)
    scene.epoch(0, 1, 0.4)
    scene.epoch(1, 1, 0.5)
    text = words(scene)
    assert "12 % done by 2 trials · 1 paused · 1 running" in text
    assert "best so far 50.00 %: trial 1 after epoch 1 of 4, paused" in text


def test_more_trials_than_lines_are_counted_and_those_that_run_come_first():
    scene = table_of(SPACE, (80, 24), num_trials=200)
    for number in range(40):
        scene.begins(number, group=f"group-{number}")
    scene.ends(0, "failed", "RuntimeError: no luck")
    text = screen(scene)
    assert len(text.splitlines()) < 24
    running = len(re.findall(r"^ +\d+ +running ", text, re.MULTILINE))
    assert running >= 15
    assert f"and {39 - running} more that run" in text
    assert "failed" not in text.partition("trials done")[0]


def test_a_group_that_starts_is_waited_for_with_a_clock():
    scene = table_of(SPACE, (80, 24))
    scene.happens(GroupChanged(group="toy/group-0", event="started"))
    text = screen(scene)
    assert "0 of 14 trials done · 0 running" in text
    assert "1 worker group starting (0 s)" in text


def test_who_stops_it_is_told_below_the_table_until_it_is_over():
    scene = Scene(TableView, SPACE)
    scene.view.stopping("stopping: waits for the workers")
    assert "stopping: waits for the workers" in screen(scene)
    scene.view.stop()
    assert scene.lines[-1] == "stopping: waits for the workers"


@pytest.mark.parametrize(
    ("terminal", "variables", "kind"),
    [
        (True, {"TERM": "xterm"}, TableView),
        (True, {"TERM": "dumb"}, LineView),
        (True, {"TERM": "unknown"}, LineView),
        (False, {"TERM": "xterm"}, LineView),
    ],
)
def test_a_table_is_drawn_where_one_can_be_redrawn(terminal, variables, kind):
    console = Console(force_terminal=terminal, _environ=variables)
    assert type(view_for(console)) is kind


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0, 3, "at most 5 s left"),
        (12, 33, "10–35 s left"),
        (70, 75, "about 75 s left"),
        (250, 419, "4–7 min left"),
        (300, 301, "about 6 min left"),
        (20, 400, "at most 7 min left"),
        (3600, 5 * 3600, "1–5 h left"),
        (30 * 3600, 100 * 3600, "1–5 days left"),
    ],
)
def test_time_left_is_rounded_outwards(low, high, text):
    assert say_left(Interval(low, high)) == text
