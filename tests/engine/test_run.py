"""The way of a run on a real Ray with scripted worker groups: what is decided, started, resumed and refused."""

import json
import os
import signal
from dataclasses import replace

import pytest
from histories import sampled, split_opened, study_started
from living import living_actors
from mid_trial import assert_nothing_is_left
from scripted import ScriptedGroup, accuracy

from cifarray.config import TrainConfig, override
from cifarray.engine.last_word import LastWord
from cifarray.engine.run import run_study
from cifarray.errors import StudyError
from cifarray.journal.folder import StudyChangedError, is_finished, set_aside
from cifarray.journal.journal import Journal, StudyRunningError, read_events
from cifarray.space.domains import cases, choice, log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study import decisions
from cifarray.study.events import (
    DriverEnded,
    EpochEnded,
    GroupChanged,
    MicroBatchHalved,
    TrialSampled,
    TrialStarted,
    WorkersRestarted,
)
from cifarray.study.schedulers import Asha
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Outcome

pytestmark = pytest.mark.usefixtures("untracked")


def outcomes(result):
    return [result.state.trials[number].outcome for number in sorted(result.state.trials)]


def simulated(study):
    """The study's end without Ray: trials one after the other."""
    state = study.new_state()
    while (assignment := state.next([])) is not None:
        number = assignment.number
        params = state.sample(number)
        config = study.space.config(params).to_dict()
        state.apply(sampled(number, params, config))
        for epoch in range(1, config["epochs"] + 1):
            _, events = decisions.after_epoch(state, number, epoch, {"val_accuracy": accuracy(config, epoch)}, None)
            state.replay(events)
            if state.trials[number].outcome:
                break
    return [(trial.params, trial.outcome, trial.epoch) for trial in state.trials.values()]


def told(state):
    return [(trial.params, trial.outcome, trial.epoch) for trial in state.trials.values()]


def test_one_at_a_time_a_study_decides_as_the_pure_functions_do(ray_session, make_study, make_recorder):
    study = make_study(num_trials=8, scheduler=Asha(2, 1), searcher="tpe", concurrent=1)
    view = make_recorder()
    result = run_study(study, view, host=ScriptedGroup)
    assert result.reason == "finished"
    assert told(result.state) == simulated(study)
    assert {Outcome.COMPLETED, Outcome.STOPPED} == set(outcomes(result))
    assert view.count(GroupChanged, event="started") == 1


def test_failing_trials_cost_no_worker_group(ray_session, make_study, make_recorder):
    study = make_study(num_trials=9, domains={"seed": choice(0, 1, 13, 2, 3, 14, 4, 5, 6)}, searcher="grid")
    view = make_recorder()
    result = run_study(study, view, host=ScriptedGroup)
    ended = {result.state.trials[n].config["seed"]: result.state.trials[n].outcome for n in range(9)}
    assert ended[13] is Outcome.FAILED
    assert ended[14] is Outcome.DIVERGED
    assert sum(outcome is Outcome.COMPLETED for outcome in ended.values()) == 7
    assert view.count(GroupChanged, event="started") == 2


def test_out_of_memory_ends_a_trial_unless_it_may_halve_its_micro_batches(ray_session, make_study, make_recorder):
    """64 images, then 32, then 16 fit; epochs are counted once."""
    seeds = {"seed": choice(1, 15)}
    view = make_recorder()
    result = run_study(make_study("strict", 2, seeds, searcher="grid"), view, host=ScriptedGroup)
    assert [result.state.trials[n].outcome for n in range(2)] == [Outcome.COMPLETED, Outcome.OUT_OF_MEMORY]
    assert view.count(MicroBatchHalved) == 0

    view = make_recorder()
    study = make_study("lenient", 2, seeds, {"auto_micro_batch": True}, searcher="grid")
    result = run_study(study, view, host=ScriptedGroup)
    assert [result.state.trials[n].outcome for n in range(2)] == [Outcome.COMPLETED, Outcome.COMPLETED]
    halved = [(event.trial, event.accumulate, event.epoch) for event in view.of(MicroBatchHalved)]
    assert halved == [(1, 2, 0), (1, 4, 0)]  # this group writes no checkpoints
    assert result.state.trials[1].config["accumulate"] == 4
    assert view.count(EpochEnded, trial=1) == 4
    assert view.count(WorkersRestarted) == 0
    again = run_study(study, make_recorder(), host=ScriptedGroup)
    assert again.state.trials[1].config["accumulate"] == 4


def test_a_killed_trial_actor_costs_neither_the_trial_nor_a_group(ray_session, make_study, make_recorder):
    killed = []

    def kill_once(event):
        if isinstance(event, EpochEnded) and event.trial == 1 and not killed:
            killed.extend(living_actors("Trial").values())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    view = make_recorder(kill_once)
    study = make_study(num_trials=4, scheduler=Asha(2, 1), concurrent=1)
    result = run_study(study, view, host=ScriptedGroup)
    assert killed
    assert told(result.state) == simulated(study)
    assert view.count(GroupChanged, event="started") == 1
    assert view.count(WorkersRestarted) >= 1


def test_a_finished_study_is_only_shown_again(ray_session, make_study, make_recorder):
    study = make_study(num_trials=2)
    first = run_study(study, make_recorder(), host=ScriptedGroup)
    view = make_recorder()
    again = run_study(study, view, host=ScriptedGroup)
    assert again.state.ranking() == first.state.ranking()
    assert view.count(TrialStarted) == 0


def test_a_study_that_was_tested_afterwards_is_still_finished(ray_session, make_study, make_recorder):
    study = make_study(num_trials=1)
    assert not is_finished(study)
    run_study(study, make_recorder(), host=ScriptedGroup)
    assert is_finished(study)
    journal = Journal(study.folder)
    journal.append([split_opened(0)])
    journal.close()
    assert is_finished(study)


def test_a_study_can_be_given_more_trials(ray_session, make_study, make_recorder):
    run_study(make_study(num_trials=2), make_recorder(), host=ScriptedGroup)
    result = run_study(make_study(num_trials=3), make_recorder(), host=ScriptedGroup)
    assert outcomes(result) == [Outcome.COMPLETED] * 3


def test_more_seeds_are_more_trials_of_the_same_study(ray_session, make_study, make_recorder):
    def study(*seeds):
        domains = {"seed": choice(*seeds), "optimizer.lr": choice(0.1, 0.2)}
        return make_study("grown", 2 * len(seeds), domains, searcher="grid")

    run_study(study(1, 2), make_recorder(), host=ScriptedGroup)
    view = make_recorder()
    result = run_study(study(1, 2, 3), view, host=ScriptedGroup)
    assert view.count(TrialSampled) == 2
    assert [trial.params["seed"] for trial in result.state.trials.values()] == [1, 1, 2, 2, 3, 3]
    for others in ((2, 3, 1), (1, 2, 4), (4, 5, 6)):
        with pytest.raises(StudyChangedError, match=r"\n  seed +\{1, 2\} +\{"):
            run_study(study(*others), make_recorder(), host=ScriptedGroup)


def test_fields_that_came_after_a_study_began_do_not_change_it(ray_session, make_study, make_recorder):
    study = make_study("older", 2)
    run_study(study, make_recorder(), host=ScriptedGroup)
    path = study.folder / "journal.jsonl"
    first, *others = path.read_text().splitlines()
    told = json.loads(first)
    del told["config"]["mixup"], told["config"]["init"]
    path.write_text("\n".join([json.dumps(told), *others]) + "\n")
    assert len(run_study(make_study("older", 3), make_recorder(), host=ScriptedGroup).state.trials) == 3


def test_a_recipe_whose_batches_are_larger_than_the_data_is_refused_before_any_trial(make_study, make_recorder):
    small = override(TrainConfig(), {"data.source": "synthetic:500", "model.depth": 10, "batch_size": 64})
    recipes = {"small": small, "large": override(small, {"batch_size": 512})}
    space = SearchSpace("batches", small, {"recipe": choice("small", "large")}, recipes)
    study = replace(make_study("batches", 2), space=space, searcher="grid")
    with pytest.raises(StudyError, match="large: batch_size 512 is more than the 450 training images"):
        run_study(study, make_recorder())
    assert not study.folder.exists()


def test_a_study_whose_trials_fail_alike_pauses_after_three_with_the_error_in_a_file(
    ray_session, make_study, make_recorder
):
    study = make_study("alike", 9, fixed={"seed": 13}, concurrent=1)
    result = run_study(study, make_recorder(), host=ScriptedGroup)
    assert (result.reason, len(result.state.trials)) == ("paused", 3)
    assert "3 trials in a row failed alike in their first epoch" in result.message
    assert (study.folder / "failures.txt").read_text().startswith("trials 0, 1, 2 failed:\n")
    last = json.loads((study.folder / "journal.jsonl").read_text().splitlines()[-1])
    assert (last["reason"], last["message"]) == ("paused", result.message)
    # Nobody has mended it: the next three fail as well.
    result = run_study(study, make_recorder(), host=ScriptedGroup)
    assert (result.reason, len(result.state.trials)) == ("paused", 6)


def test_a_changed_study_is_refused_with_the_difference(ray_session, make_study, make_recorder):
    run_study(make_study(num_trials=1), make_recorder(), host=ScriptedGroup)
    with pytest.raises(StudyChangedError, match=r"(?s)optimizer\.momentum +0\.9 +0\.8\n.*--fresh"):
        run_study(make_study(num_trials=1, fixed={"optimizer.momentum": 0.8}), make_recorder(), host=ScriptedGroup)


def test_a_space_with_branches_goes_on_where_it_was(ray_session, make_study, make_recorder):
    domains = {
        "schedule.name": choice("multistep", "one_cycle"),
        "schedule.milestones": choice((0.5,), (0.3, 0.6)).when("schedule.name", "multistep"),
        "optimizer.lr": cases("schedule.name", {"multistep": choice(0.1), "one_cycle": log_uniform(0.2, 2.0)}),
    }
    run_study(
        make_study(num_trials=3, searcher="tpe", domains=domains, concurrent=1), make_recorder(), host=ScriptedGroup
    )
    result = run_study(
        make_study(num_trials=6, searcher="tpe", domains=domains, concurrent=1), make_recorder(), host=ScriptedGroup
    )
    assert outcomes(result) == [Outcome.COMPLETED] * 6
    undisturbed = make_study("other", num_trials=6, searcher="tpe", domains=domains)
    assert told(result.state) == simulated(undisturbed)


def test_fresh_moves_the_old_study_aside(ray_session, make_study, make_recorder, tmp_path):
    study = make_study(num_trials=1)
    run_study(study, make_recorder(), host=ScriptedGroup)
    aside = set_aside(study)
    assert aside is not None
    assert (tmp_path / aside / "journal.jsonl").exists()
    changed = make_study(num_trials=1, fixed={"optimizer.momentum": 0.8})
    assert run_study(changed, make_recorder(), host=ScriptedGroup).reason == "finished"


def test_a_study_whose_driver_lives_is_refused(ray_session, make_study, make_recorder):
    study = make_study(num_trials=1)
    refused = []

    def start_again(event):
        if isinstance(event, TrialStarted):
            with pytest.raises(StudyRunningError, match="has a driver that lives"):
                run_study(study, make_recorder(), host=ScriptedGroup)
            refused.append(event)

    run_study(study, make_recorder(start_again), host=ScriptedGroup)
    assert refused


def test_what_can_never_fit_is_refused_and_can_be_mended_under_the_same_name(ray_session, make_study, make_recorder):
    with pytest.raises(StudyError, match="set --workers 2"):
        run_study(make_study(num_trials=1, workers=64), make_recorder(), host=ScriptedGroup)
    mended = make_study(num_trials=1, workers=2)
    assert run_study(mended, make_recorder(), host=ScriptedGroup).reason == "finished"


def test_a_study_that_never_had_a_trial_may_change(ray_session, make_study, make_recorder):
    def interrupt(event):
        if isinstance(event, GroupChanged) and event.event == "started":
            raise KeyboardInterrupt

    assert run_study(make_study(num_trials=1), make_recorder(interrupt), host=ScriptedGroup).reason == "interrupted"
    changed = make_study(num_trials=1, fixed={"optimizer.momentum": 0.8})
    assert run_study(changed, make_recorder(), host=ScriptedGroup).reason == "finished"


def test_an_interrupt_leaves_a_study_that_goes_on(ray_session, make_study, make_recorder):
    study = make_study(num_trials=5, scheduler=Asha(2, 1), concurrent=1)

    def interrupt(event):
        if isinstance(event, EpochEnded) and event.trial == 2:
            raise KeyboardInterrupt

    stopped = run_study(study, make_recorder(interrupt), host=ScriptedGroup)
    assert stopped.reason == "interrupted"
    assert_nothing_is_left(ray_session)
    assert read_events(study.folder / "journal.jsonl")[-1].reason == "interrupted"
    result = run_study(study, make_recorder(), host=ScriptedGroup)
    assert told(result.state) == simulated(study)
    events = read_events(study.folder / "journal.jsonl")
    epochs = [(event.trial, event.epoch) for event in events if isinstance(event, EpochEnded)]
    assert len(epochs) == len(set(epochs))


def test_a_driver_has_one_last_word(make_study):
    """The thread that ends a driver which is stuck, and the one that was stuck, may both come to it."""
    study = make_study(num_trials=1)
    journal = Journal(study.folder)
    last = LastWord(study, study.new_state(), journal)
    last.say("interrupted")
    last.say("error", "the head of Ray is gone")
    journal.close()
    assert [event.reason for event in read_events(journal.path)] == ["interrupted"]


def test_a_study_that_is_finished_has_a_page_among_its_reports_and_an_interrupted_one_has_none(make_study):
    study = make_study(num_trials=1)
    journal = Journal(study.folder)
    journal.append([study_started(study.name, study.space)])
    interrupted = LastWord(study, study.new_state(), journal).say("interrupted")
    finished = LastWord(study, study.new_state(), journal).say("finished")
    journal.close()
    assert not [path for path in interrupted if path.endswith(".html")]
    assert str(study.folder / "report.html") in finished
    ends = [event.artifacts for event in read_events(journal.path) if isinstance(event, DriverEnded)]
    assert ends == [tuple(interrupted), tuple(finished)]


def test_the_journal_alone_tells_the_study(ray_session, make_study, make_recorder):
    study = make_study(num_trials=4, scheduler=Asha(2, 1), searcher="tpe", concurrent=1)
    result = run_study(study, make_recorder(), host=ScriptedGroup)
    told_again = StudyState.from_events(read_events(study.folder / "journal.jsonl"))
    assert told_again.ranking() == result.state.ranking()
    assert told_again.space.domains == study.space.domains


def test_a_network_that_cannot_be_is_refused_before_ray_starts(make_study, make_recorder):
    """Its options are right, and its pooling leaves nothing of images that small: that is seen when it is sketched."""
    data = {"source": "synthetic:500", "image_size": 16}
    base = TrainConfig.from_dict({"model": {"name": "alexnet", "size": "small"}, "data": data, "batch_size": 64})
    study = replace(make_study(num_trials=1), space=SearchSpace("toy", base))
    with pytest.raises(StudyError, match="alexnet .* 16"):
        run_study(study, make_recorder(), host=ScriptedGroup)
    assert not study.folder.exists()
