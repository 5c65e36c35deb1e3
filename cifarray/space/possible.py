"""Ranges some of whose values can be nothing become those values that can, so that no trial is drawn in vain.

Depths are 6n + 4 or the like, by the family and its options, and a batch is shared out among workers. Not here: what a
depth may be (`cifarray.models.depths`), rules without a list of values, which a study checks where it is made.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cifarray.config import TrainConfig
from cifarray.errors import StudyError
from cifarray.models.depths import DECIDING, depths_of, depths_within
from cifarray.space.domains import AnyDomain, Cases, Choice, Range, Value
from cifarray.space.space import SearchSpace

DEPTH, BATCH = "model.depth", "batch_size"
SHOWN = 8
"""Values that a sentence lists."""


@dataclass(frozen=True)
class Possible:
    """A space without points that cannot be, as far as they are known; `notes` say what became of which range."""

    space: SearchSpace
    notes: tuple[str, ...] = ()


def possible(space: SearchSpace, workers: int) -> Possible:
    """Raises StudyError for a range of which nothing is left."""
    notes = []
    depth, batch = space.domains.get(DEPTH), space.domains.get(BATCH)
    if isinstance(depth, Range) and (drawn := _depths(space, depth)) is not None:
        domains = {**space.domains, DEPTH: drawn}
        if isinstance(drawn, Cases):
            # Behind the field on which it hangs.
            domains[DEPTH] = domains.pop(DEPTH)
        space = replace(space, domains=domains)
        values = _listed(drawn.values) if isinstance(drawn, Choice) else drawn
        notes.append(f"{DEPTH} {_span(depth)} is drawn from {values}, each as likely: other depths make no network")
    step = workers * space.base.accumulate
    if isinstance(batch, Range) and batch.integer and step > 1 and "accumulate" not in space.domains:
        sizes = Choice(_values(BATCH, batch, _multiples(step, batch), f"are multiples of {step}"), batch.condition)
        space = replace(space, domains={**space.domains, BATCH: sizes})
        shared = f"{workers} workers" if space.base.accumulate == 1 else f"workers and micro-batches ({step} parts)"
        notes.append(f"{BATCH} {_span(batch)} is drawn from {_listed(sizes.values)}: {shared} share a batch equally")
    return Possible(space, tuple(notes))


def _depths(space: SearchSpace, domain: Range) -> AnyDomain | None:
    """The depths of the range that make a network, whatever is chosen for the other fields; None if nothing is known.

    Where they hang on one other field alone, those of each of its values.
    """
    deciding = {path: space.domains[path] for path in DECIDING if path in space.domains}
    if not all(isinstance(each, Choice) for each in deciding.values()):
        return None
    configs = list(space.recipes.values()) or [space.base]
    found: dict[tuple[Value, ...], set[int]] = {}
    for chosen in itertools.product(*(each.corners() for each in deciding.values() if isinstance(each, Choice))):
        for config in configs:
            name, options = _network(config, dict(zip(deciding, chosen, strict=True)))
            depths = depths_within(name, options, domain.low, domain.high)
            if depths is None:
                return None
            rule = f"make a {name}" + (f" ({rule})" if (rule := depths_of(name, options)) else "")
            depths = list(_values(DEPTH, domain, depths, rule, depths_within(name, options, 0, 2 * domain.high)))
            found[chosen] = found.get(chosen, set(depths)) & set(depths)
    if len(deciding) == 1 and domain.condition is None and len(set(map(frozenset, found.values()))) > 1:
        path = next(iter(deciding))
        return Cases(path, tuple((chosen[0], Choice(tuple(sorted(depths)))) for chosen, depths in found.items()))
    common = sorted(set.intersection(*found.values()))
    return Choice(_values(DEPTH, domain, common, f"fit every {' and '.join(deciding)}"), domain.condition)


def _network(config: TrainConfig, chosen: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    options = {**config.model.options, **{path.removeprefix("model."): value for path, value in chosen.items()}}
    return str(options.pop("name", config.model.name)), options


def _values(path: str, domain: Range, values: list[int], rule: str, near: list[int] | None = None) -> tuple[int, ...]:
    """Raises StudyError if there are none."""
    if not values:
        others = sorted(near or [], key=lambda value: min(abs(value - domain.low), abs(value - domain.high)))[:2]
        remedy = f"choose a range with {' or '.join(map(str, sorted(others)))}" if others else "choose a wider range"
        raise StudyError(f"{path} {_span(domain)} has no values that {rule}: {remedy}")
    return tuple(values)


def _multiples(step: int, domain: Range) -> list[int]:
    first = -(-int(domain.low) // step) * step
    return list(range(first or step, int(domain.high) + 1, step))


def _span(domain: Range) -> str:
    return f"{domain.low:g}..{domain.high:g}"


def _listed(values: Iterable[Value]) -> str:
    shown = list(map(str, values))
    return "{" + ", ".join(shown if len(shown) <= SHOWN else [*shown[: SHOWN - 2], "…", shown[-1]]) + "}"
