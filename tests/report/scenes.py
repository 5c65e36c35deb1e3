"""A view of a study that hears of events before they take effect, as the driver has it."""

import io

from rich.console import Console

from cifarray.study import decisions
from cifarray.study.events import TrialEnded, TrialSampled, TrialStarted
from cifarray.study.schedulers import Asha
from cifarray.study.state import StudyState
from cifarray.study.study import Study
from cifarray.study.time_budget import TimeBudget


class Scene:
    """width, height: of the terminal, in cells. budget: seconds of workers."""

    def __init__(self, view_of, space, num_trials=4, width=120, height=40, scheduler=None, budget=None):
        self.text = io.StringIO()
        self.space = space
        self.study = Study(space.name, space, num_trials, "/results", "sqlite://")
        self.state = StudyState(space, num_trials, "random", scheduler or Asha(2, 1))
        self.state.time_budget = None if budget is None else TimeBudget(budget)
        self.view = view_of(Console(file=self.text, width=width, height=height))
        self.view.start(self.study, self.state, "1 CPU")

    def happens(self, *events):
        for event in events:
            if isinstance(event, TrialSampled):
                self.state.apply(event)
                self.view.event(event)
            else:
                self.view.event(event)
                self.state.apply(event)

    def begins(self, number, params=None, group="toy/group-0"):
        params = {"batch_size": 64} if params is None else params
        config = self.space.config(params).to_dict()
        self.happens(
            TrialSampled(trial=number, params=params, config=config, num_params=1_234_567, macs=1),
            TrialStarted(trial=number, attempt=1, group=group, epoch=0),
        )

    def epoch(self, number, epoch, accuracy):
        metrics = {"val_accuracy": accuracy, "train_loss": 1.0, "images_per_second": 1000.0, "epoch_seconds": 30.0}
        decision, events = decisions.after_epoch(self.state, number, epoch, metrics, f"/results/{number}/{epoch}.pt")
        self.happens(*events)
        return decision

    def ends(self, number, outcome, message=""):
        self.happens(TrialEnded(trial=number, outcome=outcome, message=message))

    @property
    def lines(self):
        """What was said, without the clock in front."""
        return [line.split("] ", 1)[-1] for line in self.text.getvalue().splitlines()]
