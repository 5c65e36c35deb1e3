"""A finished comparison of recipes, made of events, and the cells of a table."""

from cifarray import recipes
from cifarray.config import override
from cifarray.space.domains import choice
from cifarray.space.space import SearchSpace
from cifarray.study.state import StudyState


def state_of(values, configs=None, outcome="completed", test=False, **pinned):
    """A finished study: `values[name]` are the accuracies of a recipe's seeds."""
    configs = {name: override(recipes.get(name), pinned) for name in values} if configs is None else configs
    domains = {"seed": choice(0, 1, 2), "recipe": choice(*values)}
    space = SearchSpace("compare", next(iter(configs.values())), domains, configs)
    state = StudyState(space, 100, "grid", None, 0)
    number = 0
    for name, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            params = {"seed": seed, "recipe": name}
            config = space.config(params).to_dict()
            trial = {"kind": "trial", "trial": number, "params": params, "config": config}
            metrics = {"val_accuracy": accuracy, "images_per_second": 100.0, "epoch_seconds": 60.0}
            events = [
                {**trial, "num_params": 1000, "macs": 2000},
                {
                    "kind": "epoch",
                    "trial": number,
                    "epoch": 1,
                    "metrics": metrics,
                    "decision": "continue",
                    "checkpoint": None,
                },
                {"kind": "outcome", "trial": number, "outcome": outcome, "message": ""},
            ]
            if test:
                event = {"kind": "test", "trial": number, "opening": 1, "metrics": {"test_accuracy": accuracy}}
                events.append(event)
            state.replay(events)
            number += 1
    return state


def cells(table, heading):
    column = next(column for column in table.columns if column.header == heading)
    return list(column.cells)
