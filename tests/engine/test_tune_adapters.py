"""How Tune asks: the actor that a trial of nothing brings up is there when the first real one is known."""

from cifarray.engine.driver import Tenancy
from cifarray.engine.trial import NO_TRIAL
from cifarray.engine.tune_adapters import Relay, SearcherAdapter
from cifarray.study.schedulers import Assignment


class Driver:
    """Always has a trial to start, and remembers how trials ended."""

    def __init__(self):
        self.asked = 0
        self.ended = []

    def is_over(self):
        return False

    def next_trial(self):
        self.asked += 1
        return Tenancy(Assignment(self.asked - 1), {"epochs": 3}, "group-0", self.asked)

    def end(self, number, answer):
        self.ended.append((number, answer))


def make():
    driver = Driver()
    return driver, SearcherAdapter(Relay(driver))


def test_the_driver_is_first_asked_when_the_trial_of_nothing_is_over():
    driver, searcher = make()
    assert searcher.suggest("a") == NO_TRIAL
    # Asked again, Tune would start a second actor beside the one that comes up.
    assert searcher.suggest("b") is None
    assert driver.asked == 0
    searcher.on_trial_complete("a", {"done": True})
    assert driver.ended == []
    assert searcher.suggest("c")["trial"] == 0


def test_an_actor_that_dies_before_it_is_up_holds_nobody_up():
    driver, searcher = make()
    searcher.suggest("a")
    searcher.on_trial_complete("a", error=True)
    assert searcher.suggest("b")["trial"] == 0
    searcher.on_trial_complete("b", {"answer": "done"})
    assert driver.ended == [(0, "done")]
