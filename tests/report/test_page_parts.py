"""What the parts of the report page say, on journals that are small enough to be worked out by hand."""

import dataclasses

import pytest
from histories import driver_ended, driver_started, epoch_ended, sampled, started, study_started

from cifarray import recipes
from cifarray.config import TrainConfig, override
from cifarray.report.page.answer import answer, published
from cifarray.report.page.champion import Examined, champion
from cifarray.report.page.curves import BEST_CURVES, MOST_CURVES, chosen, curves, thinned
from cifarray.report.page.hours import idle, where_time_went
from cifarray.report.page.mattered import compared, mattered
from cifarray.report.page.overview import overview
from cifarray.report.page.price import front, price
from cifarray.report.page.told import tell
from cifarray.report.page.trust import place_after, same_order, trust
from cifarray.report.page.worth import interval, told_apart, winner
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import GroupChanged, TrialEnded, WorkersRestarted
from cifarray.study.schedulers import FreezeThaw
from cifarray.study.stats import wilson
from cifarray.study.trial_record import Decision, TrialRecord

BASE = override(TrainConfig(), {"epochs": 3, "data.source": "synthetic:1000"})
SPACE = SearchSpace("toy", BASE, {"optimizer.lr": choice(0.1, 0.2, 0.3, 0.4, 0.5), "seed": choice(0, 1, 2)})


def at(time, event):
    return dataclasses.replace(event, time=time)


def told_of(tmp_path, *trials, images=1000, space=SPACE, extra=(), **plan):
    """trials: (lr, seed, values of its epochs, outcome); each epoch took 10 s."""
    events = [study_started("toy", space, num_trials=len(trials), **plan), driver_started()]
    for number, (lr, seed, values, outcome) in enumerate(trials):
        params = {"optimizer.lr": lr, "seed": seed}
        sizes = {"num_params": 100 * (number + 1), "macs": 100}
        events += [sampled(number, params, space.config(params).to_dict(), **sizes), started(number)]
        events += [
            epoch_ended(number, epoch, val_accuracy=value, epoch_seconds=10.0)
            for epoch, value in enumerate(values, start=1)
        ]
        if outcome:
            events.append(TrialEnded(trial=number, outcome=outcome, message="4th of 4" if outcome == "stopped" else ""))
    told = tell([*events, *extra], tmp_path / "toy")
    told.validation_images = images
    return told


def fact(part, label):
    return dict(part.facts)[label]


def test_wilsons_interval_is_the_textbooks():
    """8 of 10: 49.0 to 94.3 % (Agresti & Coull 1998 give the formula); none of 10: 0 to 27.8 %."""
    assert wilson(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_the_winner_has_the_interval_of_its_images(tmp_path):
    told = told_of(tmp_path, (0.1, 0, [0.5, 0.6, 0.8], "completed"), images=10)
    found = interval(told, winner(told))
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert fact(answer(told), "interval").startswith("49.02 % to 94.33 %: 95 %, from 10 validation images")


def test_without_the_number_of_images_there_is_no_interval(tmp_path):
    told = told_of(tmp_path, (0.1, 0, [0.8], "completed"), images=None)
    assert fact(answer(told), "interval").startswith("not known")
    assert fact(answer(told), "not told from").startswith("not known")


def test_trials_within_the_noise_of_the_images_are_not_told_apart(tmp_path):
    """Of 1,000 images, 80 and 78 %: the difference of 2 has a standard error of 1.82, and 1.96 of them are 3.57."""
    told = told_of(
        tmp_path,
        (0.1, 0, [0.1, 0.2, 0.80], "completed"),
        (0.2, 0, [0.1, 0.2, 0.78], "completed"),
        (0.3, 0, [0.1, 0.2, 0.76], "completed"),
        (0.4, 0, [0.79], "stopped"),
    )
    alike, apart = told_apart(told, winner(told))
    assert ([t.number for t in alike], [t.number for t in apart]) == ([1], [2])
    assert fact(answer(told), "not told from").startswith("trial 1, of 2 other completed trials")


def test_seeds_of_the_winners_config_give_a_mean_and_its_interval(tmp_path):
    """0.5, 0.6, 0.7: a deviation of 0.1, and Student's 4.303 of 0.1 / √3 are 0.2484."""
    trials = [(0.1, seed, [0.1, 0.2, value], "completed") for seed, value in enumerate((0.5, 0.6, 0.7))]
    told = told_of(tmp_path, *trials, (0.2, 0, [0.1, 0.2, 0.3], "completed"))
    assert fact(answer(told), "seeds") == (
        "60.00 ± 10.00 % over 3 seeds (mean ± deviation); the mean is known to ± 24.84 points (95 %, Student)"
    )
    assert "1 config with several seeds, whose standard deviation is 10.00 points" in fact(trust(told), "seeds")


def test_a_published_figure_needs_the_test_split(tmp_path):
    config = override(recipes.get("wide_resnet_28_10"), {"epochs": 3})
    told = told_of(tmp_path, (0.1, 0, [0.8], "completed"))
    best = dataclasses.replace(winner(told), config=config.to_dict())
    assert published(best).startswith("4.00 % CIFAR-10 test error for wide_resnet_28_10")
    assert "not comparable before" in published(best)
    tested = dataclasses.replace(best, test={"test_accuracy": 0.95})
    assert "ours is 5.00 %, and data, split or training are others" in published(tested)


def record(number, cost, score):
    return TrialRecord(number, {}, {}, num_params=cost, epochs=[{"val_accuracy": score}])


def test_the_front_is_what_no_other_beats_in_both():
    trials = [record(0, 10, 0.5), record(1, 20, 0.4), record(2, 20, 0.7), record(3, 40, 0.7), record(4, 30, 0.9)]
    assert [trial.number for trial in front(trials, lambda trial: trial.num_params)] == [0, 2, 4]


def test_what_costs_the_same_for_all_has_no_figure(tmp_path):
    """Parameters differ, MACs and seconds do not."""
    told = told_of(tmp_path, *((lr, 0, [0.1, 0.2, lr], "completed") for lr in (0.1, 0.2)))
    part = price(told)
    assert [figure.says for figure in part.figures] == ["val accuracy against parameters, with the Pareto front"]
    assert "2 by parameters" in part.sentence


def test_optunas_front_is_ours(tmp_path):
    values = (0.5, 0.4, 0.7, 0.6, 0.9)
    told = told_of(tmp_path, *((lr / 10, 0, [0.1, 0.2, v], "completed") for lr, v in enumerate(values, start=1)))
    (figure,) = price(told).figures
    (drawn,) = (trace for trace in figure.content["data"] if trace.get("name") == "on the front")
    assert sorted(zip(drawn["x"], drawn["y"], strict=True)) == [(100, 0.5), (300, 0.7), (500, 0.9)]
    assert all(text.startswith("trial ") for text in drawn["text"])


def test_the_audit_counts_pairs_in_the_same_order(tmp_path):
    """After epoch 1 the order is 2, 0, 1 and at the end 2, 1, 0: two of three pairs agree. Trial 3 was stopped."""
    told = told_of(
        tmp_path,
        (0.1, 0, [0.30, 0.4, 0.5], "completed"),
        (0.2, 0, [0.20, 0.4, 0.6], "completed"),
        (0.3, 0, [0.40, 0.6, 0.7], "completed"),
        (0.4, 0, [0.45], "stopped"),
    )
    done = [told.state.trials[number] for number in range(3)]
    assert same_order(done, 1) == (2, 3)
    assert place_after(told, done[2], 1) == (2, 4)
    part = trust(told)
    assert part.sentence.startswith("The winner was number 2 of 4 after epoch 1")
    assert part.tables[0].cells == [[1, 4, 1, 2, pytest.approx(2 / 3), 3]]


def test_idle_gaps_are_what_a_ready_group_had_no_trial_in(tmp_path):
    """Ready at 10, trials from 12 to 20 and from 25 to 40, closed at 50: gaps of 2, 5 and 10 s of 40."""
    events = [
        at(0, study_started("toy", SPACE)),
        at(0, driver_started()),
        at(1, GroupChanged(group="toy/group-0", event="started")),
        at(10, GroupChanged(group="toy/group-0", event="ready", reason="9.0 s")),
    ]
    for number, (began, ended) in enumerate([(12, 20), (25, 40)]):
        params = {"optimizer.lr": 0.1 * (number + 1), "seed": 0}
        events += [
            at(began, sampled(number, params, SPACE.config(params).to_dict())),
            at(began, started(number, group="toy/group-0")),
            at(ended - 1, epoch_ended(number, 1, val_accuracy=0.5, epoch_seconds=6.0)),
            at(ended, TrialEnded(trial=number, outcome="failed", message="no")),
        ]
    events += [
        at(50, GroupChanged(group="toy/group-0", event="closed", reason="over")),
        at(52, driver_ended()),
    ]
    told = tell(events, tmp_path / "toy")
    assert list(idle(told)) == [("toy/group-0", 2), ("toy/group-0", 5), ("toy/group-0", 10)]
    part = where_time_went(told)
    assert "1 worker group ran 2 stays of trials in 0:52 min; they had a trial for 57.5%" in part.sentence
    assert fact(part, "starting") == "1 start, 9 s each"
    assert fact(part, "plan") == "2 trials of 3 epochs: 6 epochs if none were stopped"
    assert fact(part, "actual") == "2 epochs, 33% of the plan"


def test_a_trial_that_pauses_leaves_its_group_to_the_next(tmp_path):
    """Trial 0 from 10 to 20, trial 1 from 20 to 40, trial 0 again from 40 to 60; it waits no time in the group."""
    params = [{"optimizer.lr": rate, "seed": 0} for rate in (0.1, 0.2)]
    events = [
        study_started("toy", SPACE, scheduler=FreezeThaw().settings(), num_trials=2),
        driver_started(),
        GroupChanged(group="group-0", event="started"),
        at(10, GroupChanged(group="group-0", event="ready", reason="9.0 s")),
        at(10, sampled(0, params[0], SPACE.config(params[0]).to_dict())),
        at(10, started(0)),
        at(20, epoch_ended(0, 1, "0/1", Decision.PAUSE, "1st of 1", val_accuracy=0.5, epoch_seconds=9.0)),
        at(20, sampled(1, params[1], SPACE.config(params[1]).to_dict())),
        at(20, started(1)),
        at(40, epoch_ended(1, 1, "1/1", Decision.PAUSE, "2nd of 2", val_accuracy=0.4, epoch_seconds=19.0)),
        at(40, started(0, 1, attempt=2)),
        at(60, epoch_ended(0, 2, "0/2", Decision.PAUSE, "1st of 1", val_accuracy=0.6, epoch_seconds=19.0)),
        at(90, TrialEnded(trial=1, outcome="stopped", message="2nd of 2")),
        at(90, driver_ended()),
    ]
    told = tell(events, tmp_path / "toy")
    assert [(stay.trial, stay.began, stay.ended) for stay in told.stays] == [(0, 10, 20), (1, 20, 40), (0, 40, 60)]
    assert list(idle(told)) == [("group-0", 30)]
    # Halves would be 7: 3 of the base point, 2 trials to 1, one to 2, one to 3; but both to their end are no more.
    assert fact(where_time_went(told), "plan").endswith("as much work as 6 epochs of networks of average size")


@pytest.mark.parametrize("said", [0, 3])
def test_a_study_that_went_on_with_more_trials_is_measured_by_them(tmp_path, said):
    """One trial, then two more of 3 epochs; an older journal does not say so."""
    events = [study_started("toy", SPACE, num_trials=1), driver_started()]
    for number, rate in enumerate((0.1, 0.2, 0.3)):
        if number == 1:
            events += [driver_ended(), dataclasses.replace(driver_started(), num_trials=said)]
        params = {"optimizer.lr": rate, "seed": 0}
        events += [sampled(number, params, SPACE.config(params).to_dict()), started(number)]
        events += [epoch_ended(number, epoch, val_accuracy=0.5, epoch_seconds=1.0) for epoch in (1, 2, 3)]
        events.append(TrialEnded(trial=number, outcome="completed", message=""))
    told = tell([*events, driver_ended()], tmp_path / "toy")
    assert fact(answer(told), "trials") == "3 of 3: 3 completed"
    assert fact(where_time_went(told), "plan") == "3 trials of 3 epochs: 9 epochs if none were stopped"


def test_a_driver_that_was_killed_ends_with_its_last_event(tmp_path):
    told = told_of(tmp_path, (0.1, 0, [0.5], None), extra=[at(30, epoch_ended(0, 2, val_accuracy=0.6))])
    assert told.drivers[0].ended == 30
    assert told.drivers[0].reason == ""
    assert "killed, or running still" in fact(where_time_went(told), "drivers")


def test_mishaps_are_marked_in_the_curves(tmp_path):
    lost = WorkersRestarted(trial=0, restarts=1, epoch=2, reason="rank 1 died", fault="worker_died")
    told = told_of(tmp_path, (0.1, 0, [0.4, 0.5], None), (0.2, 0, [0.3], "stopped"), extra=[lost])
    marks = {trace["name"]: trace for trace in curves(told).figures[0].content["data"] if trace["mode"] == "markers"}
    assert (marks["restarted (1)"]["x"], marks["restarted (1)"]["y"]) == ([2], [0.5])
    assert marks["where stopped (1)"]["text"] == ["trial 1: 4th of 4"]


def test_curves_are_thinned_to_the_best_and_an_even_sample():
    trials = [record(number, 1, 0.5) for number in range(1000)]
    drawn = [trial.number for trial in chosen(trials)]
    assert len(drawn) == len(set(drawn)) == MOST_CURVES
    assert drawn[:BEST_CURVES] == list(range(BEST_CURVES))
    gaps = {after - before for before, after in zip(drawn[BEST_CURVES:], drawn[BEST_CURVES + 1 :], strict=False)}
    assert gaps <= {6, 7}
    assert drawn[-1] == 999
    assert chosen(trials[:MOST_CURVES]) == trials[:MOST_CURVES]


def test_the_first_and_last_epoch_of_a_curve_are_drawn():
    assert thinned(range(10), 1) == list(range(10))
    assert thinned(range(10), 4) == [0, 4, 8, 9]
    assert thinned(range(9), 4) == [0, 4, 8]
    assert thinned([], 4) == []


def test_what_mattered_is_asked_after_an_epoch_that_nearly_all_have_done(tmp_path):
    """Four of five were stopped after the first epoch: the completed one alone says nothing."""
    trials = [(lr, 0, [lr], "stopped") for lr in (0.1, 0.2, 0.3, 0.4)]
    told = told_of(tmp_path, *trials, (0.5, 0, [0.05, 0.6, 0.7], "completed"))
    found, epoch = compared(told)
    assert epoch == 1
    assert [trial.number for trial in found] == [3, 2, 1, 0, 4]
    assert "5 trials are compared by their val accuracy after epoch 1" in mattered(told).sentence


def test_the_field_that_decides_matters_most(tmp_path):
    trials = [
        (lr, seed, [0.1, 0.1, lr + 0.01 * (seed == 1)], "completed") for lr in (0.1, 0.3, 0.5) for seed in range(3)
    ]
    part = mattered(told_of(tmp_path, *trials))
    assert "; lr mattered most, for " in part.sentence
    says = [figure.says for figure in part.figures]
    assert says[0] == "Importance of each field, 9 trials"
    assert "val accuracy against lr" in says
    assert says[-1] == "Parallel coordinates of all varied fields"


@pytest.mark.parametrize("values", [[], [0.5], [0.5] * 5])
def test_too_little_or_too_alike_is_said(tmp_path, values):
    told = told_of(tmp_path, *((0.1 * (n + 1), 0, [0.1, 0.2, v], "completed") for n, v in enumerate(values)))
    part = mattered(told)
    assert part.sentence.endswith(".")
    assert part.figures == ()
    assert "mattered most" not in part.sentence


def test_the_champions_classes_are_counted():
    """Of 10 a and 10 b: 9 and 6 are right, together 75 %."""
    part = champion(Examined(3, ["a", "b"], [[9, 1], [4, 6]], 20, 50, [], "bf16 on a CPU"))
    assert part.sentence == (
        "Trial 3 is right on 75.00% of 20 validation images of 50, an even part of each class; a is its easiest class "
        "(90.0%) and b its hardest (60.0%)."
    )
    assert part.tables[0].cells == [["b", "a", 4], ["a", "b", 1]]
    assert list(part.notes) == ["Computed in bf16 on a CPU."]
    assert champion("There is none.").sentence == "There is none."


def test_of_two_studies_it_is_said_whether_the_better_winner_is_more_than_chance(tmp_path):
    """Of 1,000 images each, 80 and 78 % are within 1.96 · 1.82 points, 80 and 76 % are not."""
    best, near, far = (
        told_of(tmp_path / name, (0.1, 0, [0.1, 0.2, value], "completed"), data_sha256="same")
        for name, value in (("a", 0.80), ("b", 0.78), ("c", 0.76))
    )
    assert overview([near, best]).sentence.endswith("comes next with 78.00 %; that is no more than the images explain.")
    assert overview([far, best]).sentence.endswith("comes next with 76.00 %; that is more than the images explain.")
    other = told_of(tmp_path, (0.1, 0, [0.1, 0.2, 0.7], "completed"), data_sha256="other")
    assert "do not say that both saw the same images" in overview([best, other]).sentence
    assert "nothing to compare" in overview([best, told_of(tmp_path)]).sentence
