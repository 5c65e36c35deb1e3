"""What to try next: random, grid, or TPE, each a pure function of (space, study seed, trial number, earlier trials).

A field on a condition is asked for where the condition holds, and the searcher never hears of it elsewhere. Points that
are not allowed (the network is too large) or that an earlier trial had are drawn again, or left out of the grid: the
same point trained once more with the same seed gives the same weights. So a space of few points has few trials.

A study that was killed asks the same question again and gets the same answer. Not here: TPE itself (`tpe`), how many
points a space has (`cifarray.space.tree`).
"""

import itertools
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from cifarray.errors import StudyError
from cifarray.space.space import SearchSpace
from cifarray.study.tpe import Observation as Observation
from cifarray.study.tpe import suggestions

SearcherName = Literal["random", "grid", "tpe"]
SEARCHERS: tuple[SearcherName, ...] = ("random", "grid", "tpe")
MAX_DRAWS = 1000
"""Draws for one trial, before what is left is looked through or the space is said to be empty."""
MAX_ASKS = 50
"""Of them, how many TPE makes."""
MAX_LOOKED_THROUGH = 100_000
"""Points; a space with more of them is taken to have enough that are allowed."""

Params = dict[str, Any]
Allowed = Callable[[Params], bool]
"""Whether a point's network is within the space's limits."""


class EmptySpaceError(StudyError):
    """No point of the space is left, as far as can be seen."""


class Sampler:
    """The searcher of one study. It remembers which points of a grid are allowed, and nothing of what it was asked.

    allowed: None where all points are. Raises ValueError for an unknown searcher or a grid over a range.
    """

    def __init__(self, space: SearchSpace, searcher: SearcherName, seed: int, allowed: Allowed | None = None) -> None:
        if searcher not in SEARCHERS:
            raise ValueError(f"searcher {searcher!r} is unknown: choose one of {', '.join(SEARCHERS)}")
        self.space, self.searcher, self.seed, self._allowed = space, searcher, seed, allowed
        self._num_points = space.grid_size() if searcher == "grid" else space.tree.num_points()
        self._allowed_points: list[Params] = []
        """The first of them, in the grid's order; as many as were asked for so far."""
        self._unseen = filter(allowed, self._points_from(0)) if allowed else iter(())

    def budget(self, num_trials: int) -> int:
        """How many trials there can be of `num_trials`, since each has a point of its own."""
        if self._num_points is None:
            return num_trials
        many = self.searcher != "grid" and self._num_points > MAX_LOOKED_THROUGH
        if self._allowed is None or many:
            return min(num_trials, self._num_points)
        self._look_for(num_trials)
        return min(num_trials, len(self._allowed_points))

    def sample(self, number: int, history: Sequence[Observation], tried: Collection[str]) -> Params:
        """The params of trial `number` (from 0).

        history: what TPE learns from, in the order of the trials' numbers; the others take no notice. tried: the
        `point_key` of each earlier trial, which a grid needs not. Raises EmptySpaceError if no point was found.
        """
        if self.searcher == "grid":
            return self._grid_point(number)
        for params in self._draws(number, history):
            if self.is_wanted(params, tried):
                return params
        # Nearly all points were tried, or hardly one is allowed: the first that is left after a random one.
        if self._num_points is not None:
            start = random.Random(f"{self.seed}/{number}/left").randrange(self._num_points)
            for params in itertools.islice(self._points_from(start), MAX_LOOKED_THROUGH):
                if self.is_wanted(params, tried):
                    return params
        raise EmptySpaceError(self._why_empty())

    def _draws(self, number: int, history: Sequence[Observation]) -> Iterator[Params]:
        key = f"{self.seed}/{number}"
        asks = 0
        if self.searcher == "tpe":
            asks = MAX_ASKS
            yield from itertools.islice(suggestions(self.space, random.Random(key).getrandbits(32), history), asks)
        for attempt in range(asks, MAX_DRAWS):
            # The first draw is the one of a space without limits.
            yield _draw(self.space, random.Random(f"{key}/{attempt}" if attempt else key))

    def is_wanted(self, params: Params, tried: Collection[str]) -> bool:
        """Whether a point is within the space's limits and none of those that were `tried`."""
        return point_key(params) not in tried and (self._allowed is None or self._allowed(params))

    def _points_from(self, start: int) -> Iterator[Params]:
        """All points once, in the grid's order from `start` on and round its end."""
        size = self._num_points or 0
        return (self.space.tree.point_at((start + number) % size) for number in range(size))

    def _look_for(self, count: int) -> None:
        """So many of the points that are allowed, or all of them."""
        missing = count - len(self._allowed_points)
        self._allowed_points += itertools.islice(self._unseen, max(0, missing))

    def _grid_point(self, number: int) -> Params:
        if self._allowed is None and number < (self._num_points or 0):
            return self.space.tree.point_at(number)
        self._look_for(number + 1)
        if number >= len(self._allowed_points):
            raise EmptySpaceError(self._why_empty())
        return dict(self._allowed_points[number])

    def _why_empty(self) -> str:
        limits = [(self.space.max_params, "parameters"), (self.space.max_macs, "MACs")]
        given = " and ".join(f"{limit:,} {what}" for limit, what in limits if limit is not None)
        if not given or (self._num_points is not None and self._num_points <= MAX_LOOKED_THROUGH):
            within = f" with a network of at most {given}" if given else ""
            return f"the space has no point left{within}: vary more, or ask for fewer trials"
        return (
            f"none of {MAX_DRAWS} points drawn from the space has a network of at most {given}: "
            "raise the limit, or add smaller values to the domains"
        )


def _draw(space: SearchSpace, source: random.Random) -> Params:
    return space.tree.point(lambda name, domain: domain.draw(source))


def point_key(params: Mapping[str, Any]) -> str:
    """The same for the same point, before and after it was in a journal."""
    return json.dumps(params, sort_keys=True)


def shortage(budget: int, num_trials: int) -> str | None:
    """What a user is told where a space has fewer points than there were to be trials."""
    if budget >= num_trials:
        return None
    return f"the space has only {budget} point{'s' if budget != 1 else ''}: {budget} of {num_trials} trials are run"
