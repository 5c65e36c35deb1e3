"""A finished comparison of recipes, made of events, and the cells of a table."""

from histories import epoch_ended, sampled, split_opened

from cifarray import recipes
from cifarray.config import override
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.events import TrialEnded
from cifarray.study.state import StudyState


def state_of(values, configs=None, outcome="completed", test=False, **pinned):
    """A finished study: `values[name]` are the accuracies of a recipe's seeds."""
    configs = {name: override(recipes.get(name), pinned) for name in values} if configs is None else configs
    domains = {"seed": choice(0, 1, 2), "recipe": choice(*values)}
    space = SearchSpace("compare", next(iter(configs.values())), domains, configs)
    state = StudyState(space, 100, "grid")
    number = 0
    for name, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            params = {"seed": seed, "recipe": name}
            config = space.config(params).to_dict()
            measured = {"val_accuracy": accuracy, "images_per_second": 100.0, "epoch_seconds": 60.0}
            events = [
                sampled(number, params, config, num_params=1000, macs=2000),
                epoch_ended(number, 1, **measured),
                TrialEnded(trial=number, outcome=outcome),
            ]
            if test:
                events.append(split_opened(number, test_accuracy=accuracy))
            state.replay(events)
            number += 1
    return state


def cells(table, heading):
    column = next(column for column in table.columns if column.header == heading)
    return list(column.cells)
