"""A space's points as numbers: the unit cube in which they are drawn evenly, and the features by which they are alike.

A point has one *share* in 0..1 for each domain, from which every point can be made. It has one *feature* for each range
and each choice among numbers, which keeps their order, and one for each value of any other choice. Not here: what is
learned from features (`cifarray.study.gaussian_process`).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cifarray.space.domains import Choice, Domain, Range, Value, comparable
from cifarray.space.tree import Params, Tree

ONE_HOT = 0.7
"""The feature of the word that is chosen: two words are then as far apart as the ends of a range."""
CENTRE = 0.5


class Features:
    """Of one space's points. `num_shares` and `num_features` are how many there are of each."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._domains = dict(tree.all_domains())
        self._share_at = {name: number for number, name in enumerate(self._domains)}
        self._first: dict[str, int] = {}
        """Of the features of a domain."""
        self._unvaried: list[float] = []
        """The features where no field varies: each at its centre."""
        self._ordinal: dict[str, list[float]] = {}
        """Of choices among numbers: the feature of each value."""
        for name, domain in self._domains.items():
            self._first[name] = len(self._unvaried)
            self._unvaried += _centres(domain)
            if isinstance(domain, Choice) and _is_ordinal(domain):
                self._ordinal[name] = _ranks(domain)
        self.num_shares, self.num_features = len(self._domains), len(self._unvaried)

    def of(self, params: Mapping[str, Any]) -> list[float]:
        """Features of a point; those of fields that do not vary there are at the centre."""
        features = list(self._unvaried)
        for name, domain, value in self._varied(params):
            first = self._first[name]
            if isinstance(domain, Range):
                features[first] = _share_of_range(domain, value)
            elif name in self._ordinal:
                features[first] = self._ordinal[name][_place(domain, value)]
            else:
                features[first : first + len(domain.values)] = [0.0] * len(domain.values)
                features[first + _place(domain, value)] = ONE_HOT
        return features

    def shares(self, params: Mapping[str, Any]) -> list[float]:
        """From which `point` makes the same point."""
        shares = [CENTRE] * self.num_shares
        for name, domain, value in self._varied(params):
            if isinstance(domain, Range):
                share = _share_of_range(domain, value)
            else:
                share = (_place(domain, value) + 0.5) / len(domain.values)
            shares[self._share_at[name]] = share
        return shares

    def point(self, shares: Sequence[float]) -> Params:
        """Shares that are drawn evenly make points that are drawn as the domains say. shares: (num_shares,) in 0..1."""
        return self._tree.point(lambda name, domain: value_at(domain, shares[self._share_at[name]]))

    def words(self) -> list[int]:
        """Of the shares, those of choices without an order."""
        return [
            self._share_at[name]
            for name, domain in self._domains.items()
            if isinstance(domain, Choice) and name not in self._ordinal
        ]

    def _varied(self, params: Mapping[str, Any]) -> list[tuple[str, Domain, Any]]:
        """Of the fields that vary at this point: the domain's name, the domain, the value."""
        found = []
        for path, value in params.items():
            named = self._tree.domain_at(path, params)
            if named is not None:
                found.append((*named, comparable(value)))
        return found


def value_at(domain: Domain, share: float) -> Value:
    """The value at a share in 0..1 of a domain, each value of a choice and each whole number having an equal one."""
    if isinstance(domain, Choice):
        return domain.values[min(int(share * len(domain.values)), len(domain.values) - 1)]
    low, high = _ends(domain)
    value = math.exp(low + share * (high - low)) if domain.log else low + share * (high - low)
    if domain.integer:
        return int(min(max(round(value), domain.low), domain.high))
    return min(max(value, domain.low), domain.high)


def nearest(domain: Domain, value: Any) -> Value:
    """The value of a domain that is the most like `value`: itself, if it is one of them; a choice's first, and a
    range's middle, where there is nothing to compare."""
    value = comparable(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(domain, Range):
        if is_number and domain.low <= value <= domain.high and not (domain.integer and value % 1):
            return value
        return value_at(domain, min(max(_share_of_range(domain, value), 0.0), 1.0) if is_number else CENTRE)
    if value in domain.values:
        return domain.values[_place(domain, value)]
    if is_number and _is_ordinal(domain):
        return min(domain.values, key=lambda other: abs(other - value))
    return domain.values[0]


def _centres(domain: Domain) -> list[float]:
    if isinstance(domain, Range) or _is_ordinal(domain):
        return [CENTRE]
    return [ONE_HOT / len(domain.values)] * len(domain.values)


def _is_ordinal(domain: Choice) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in domain.values)


def _ranks(domain: Choice) -> list[float]:
    """Of the values of a choice among numbers, in the choice's order: evenly from 0 to 1."""
    rising = sorted(domain.values)  # type: ignore[type-var]
    return [rising.index(value) / (len(rising) - 1) if len(rising) > 1 else CENTRE for value in domain.values]


def _place(domain: Choice, value: Any) -> int:
    """Of a value among a choice's values, by equality and kind: true is not 1."""
    same = [place for place, other in enumerate(domain.values) if other == value]
    return next((place for place in same if type(domain.values[place]) is type(value)), same[0])


def _ends(domain: Range) -> tuple[float, float]:
    """Of the numbers that a share runs through, as logarithms where the range is logarithmic: half a step beyond the
    ends where the numbers are whole, so that each is as likely."""
    half = 0.5 if domain.integer else 0.0
    low, high = domain.low - half, domain.high + half
    return (math.log(low), math.log(high)) if domain.log else (low, high)


def _share_of_range(domain: Range, value: float) -> float:
    low, high = _ends(domain)
    if domain.log:
        value = math.log(value) if value > 0 else low
    return (value - low) / (high - low)
