"""The domains of a search space as a tree: which domain a field has hangs on the fields before it, a point is a leaf.

Here: points, how many there are, the n-th of them, corners. Not here: train configs (`cifarray.space.space`), a single
domain (`cifarray.space.domains`).
"""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from cifarray.space.domains import AnyDomain, Cases, Domain, Value, comparable

MAX_CORNERS = 4096
"""Of one product; the ends of single domains are looked at without it."""

Params = dict[str, Any]


class Tree:
    """Fields in their order. fixed: values of the fields that do not vary, on which domains may hang too.

    What was counted is remembered; nothing else is.
    """

    def __init__(self, domains: Mapping[str, AnyDomain], fixed: Mapping[str, Any]) -> None:
        self.domains, self.fixed = domains, fixed
        self._paths = list(domains)
        on = [domain.condition.path if domain.condition else None for domain in domains.values()]
        # For each place in the order, the fields before it on which what follows hangs.
        self._deciding = [
            tuple(path for path in self._paths[:place] if path in on[place:]) for place in range(len(on) + 1)
        ]
        self._counts: dict[tuple[Any, ...], int | None] = {}

    def all_domains(self) -> Iterator[tuple[str, Domain]]:
        """Every domain that a field may have, by the name that `domain_at` gives it."""
        for path, domain in self.domains.items():
            if isinstance(domain, Cases):
                yield from ((_name_of_case(path, value), case) for value, case in domain.cases)
            else:
                yield path, domain

    def domain_at(self, path: str, params: Mapping[str, Any]) -> tuple[str, Domain] | None:
        """The domain of a field where `params` are chosen, and its name; None where the field does not vary.

        A field whose domain hangs on another field has several, each with a name of its own.
        """
        domain = self.domains[path]
        if domain.condition is None:
            assert not isinstance(domain, Cases)
            return path, domain
        on = domain.condition.path
        if on not in params and on in self.domains:
            return None
        value = comparable(params[on] if on in params else self.fixed[on])
        if value not in domain.condition.values:
            return None
        return (_name_of_case(path, value), domain.at(value)) if isinstance(domain, Cases) else (path, domain)

    def point(self, choose: Callable[[str, Domain], Value]) -> Params:
        """A point: `choose` is asked for every field that varies there, in order, by the name of the field's domain."""
        params: Params = {}
        for path in self._paths:
            named = self.domain_at(path, params)
            if named is not None:
                params[path] = choose(*named)
        return params

    def num_points(self) -> int | None:
        """None for infinitely many."""
        return self._count(0, {})

    def point_at(self, number: int) -> Params:
        """The n-th point, from 0, of finitely many; the first field is the slowest.

        Its cost hangs on the number of fields and values, and not on the number.
        """
        params: Params = {}
        left = number
        for place, path in enumerate(self._paths):
            named = self.domain_at(path, params)
            if named is None:
                continue
            values = named[1].all_values()
            assert values is not None, f"{path} has infinitely many values"
            if path not in self._deciding[place + 1]:
                below = self._count(place + 1, {**params, path: values[0]})
                assert below is not None
                position, left = divmod(left, below)
                params[path] = values[position]
                continue
            for value in values:
                params[path] = value
                below = self._count(place + 1, params)
                assert below is not None
                if left < below:
                    break
                left -= below
        return params

    def corners(self, paths: Collection[str], inside: bool = False) -> Iterator[Params]:
        """Every combination of the ends of some fields' domains and of those on which they hang; at most MAX_CORNERS.

        All other fields have the first value of theirs, so each corner is a point. inside: of the `paths`, some of the
        inside of a range as well.
        """
        chosen = set(paths)
        while True:
            on = {domain.condition.path for path, domain in self.domains.items() if path in chosen and domain.condition}
            if on <= chosen:
                break
            chosen |= on

        def values(path: str, domain: Domain) -> tuple[Value, ...]:
            if path not in chosen:
                return domain.corners()[:1]
            return domain.probes() if inside and path in paths else domain.corners()

        return itertools.islice(self._combinations(self._paths, {}, values), MAX_CORNERS)

    def _combinations(
        self, paths: list[str], chosen: Params, values: Callable[[str, Domain], tuple[Value, ...]]
    ) -> Iterator[Params]:
        if not paths:
            yield chosen
            return
        path, *rest = paths
        named = self.domain_at(path, chosen)
        if named is None:
            yield from self._combinations(rest, chosen, values)
            return
        for value in values(path, named[1]):
            yield from self._combinations(rest, {**chosen, path: value}, values)

    def _count(self, place: int, params: Params) -> int | None:
        """Points where the fields before `place` are chosen; None for infinitely many."""
        if place == len(self._paths):
            return 1
        # A field that does not vary here has no value, which is another thing than None.
        key = (place, *((path in params, params.get(path)) for path in self._deciding[place]))
        if key not in self._counts:
            self._counts[key] = self._count_anew(place, params)
        return self._counts[key]

    def _count_anew(self, place: int, params: Params) -> int | None:
        path = self._paths[place]
        named = self.domain_at(path, params)
        if named is None:
            return self._count(place + 1, params)
        values = named[1].all_values()
        if values is None:
            return None
        if path not in self._deciding[place + 1]:
            below = self._count(place + 1, {**params, path: values[0]})
            return None if below is None else len(values) * below
        total = 0
        for value in values:
            below = self._count(place + 1, {**params, path: value})
            if below is None:
                return None
            total += below
        return total


def _name_of_case(path: str, value: Value) -> str:
    return f"{path} [{value}]"
