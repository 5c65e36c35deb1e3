"""What varies: the search space = a base train config plus `{dotted field: domain}`, some of them on a condition.

Here: points, pinning, grids, checking a space's corners. Not here: domains (`cifarray.space.domains`), which point to
try next (`cifarray.study.samplers`).
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cifarray.config import TrainConfig, flatten, override
from cifarray.space import domains as domains_
from cifarray.space.domains import AnyDomain, Cases, Domain, Range, Value, comparable

MAX_CORNERS = 4096
RECIPE = "recipe"
"""The field of a point that names one of the space's `recipes`."""


@dataclass(frozen=True)
class SearchSpace:
    """A base train config and what varies around it.

    recipes: whole train configs by name; a domain of the field `recipe` chooses one in place of `base`.
    max_params, max_macs: a network that is larger is not part of the space.
    Raises ValueError where it is made if a dotted path does not exist, a condition is on a field that comes later, or a
    corner breaks a field's rule.
    """

    name: str
    base: TrainConfig
    domains: Mapping[str, AnyDomain] = field(default_factory=dict)
    recipes: Mapping[str, TrainConfig] = field(default_factory=dict)
    max_params: int | None = None
    max_macs: int | None = None

    def __post_init__(self) -> None:
        known = flatten(self.base.to_dict()).keys()
        for number, (path, domain) in enumerate(self.domains.items()):
            if domain.condition is not None:
                on = domain.condition.path
                if on not in list(self.domains)[:number] and on not in known:
                    raise ValueError(
                        f"{path} varies {domain.condition}, and {on} is neither a domain before it nor a field: "
                        "name one that is"
                    )
        for corner in self.corners():
            self.config(corner)

    def config(self, params: Mapping[str, Any]) -> TrainConfig:
        """The train config of one point of the space."""
        rest = {path: value for path, value in params.items() if path != RECIPE}
        if RECIPE not in params:
            return override(self.base, rest)
        name = params[RECIPE]
        if name not in self.recipes:
            raise ValueError(
                f"recipe {name!r} is not one of this space's: choose {' or '.join(self.recipes) or 'another field'}"
            )
        return override(self.recipes[name], rest)

    @property
    def is_comparison(self) -> bool:
        """Whether its points are seeds or recipes to be compared, of which none is selected."""
        return bool(self.domains) and set(self.domains) <= {"seed", RECIPE}

    def pin(self, values: Mapping[str, Any]) -> "SearchSpace":
        """Fields set to a value; their domains are removed, and those on a condition that can no longer hold."""
        pinned = {path: comparable(value) for path, value in values.items()}

        domains: dict[str, AnyDomain] = {}
        gone = set()
        for path, domain in self.domains.items():
            on = domain.condition
            if on is not None and (on.path in gone or (on.path in pinned and pinned[on.path] not in on.values)):
                gone.add(path)
            elif path not in pinned:
                domains[path] = domain
        recipes = {name: override(config, values) for name, config in self.recipes.items()}
        return replace(self, base=override(self.base, values), domains=domains, recipes=recipes)

    def vary(self, domains: Mapping[str, AnyDomain]) -> "SearchSpace":
        """Domains added or replaced."""
        return replace(self, domains={**self.domains, **domains})

    def limited(self, max_params: int | None, max_macs: int | None) -> "SearchSpace":
        """With limits in place of those it has; None leaves one as it is."""
        return replace(
            self,
            max_params=self.max_params if max_params is None else max_params,
            max_macs=self.max_macs if max_macs is None else max_macs,
        )

    def point(self, choose: Callable[[str, Domain], Value]) -> dict[str, Any]:
        """A point: `choose` is asked for every field that varies there, in order, by the name of the field's domain."""
        params: dict[str, Any] = {}
        for path in self.domains:
            found = self.domain_at(path, params)
            if found is not None:
                params[path] = choose(*found)
        return params

    def domain_at(self, path: str, params: Mapping[str, Any]) -> tuple[str, Domain] | None:
        """The domain of a field where `params` are chosen, and its name; None where the field does not vary.

        A field whose domain depends on another one has several, each with a name of its own.
        """
        domain = self.domains[path]
        if domain.condition is None:
            return path, domain
        on = domain.condition.path
        if on in params:
            value = params[on]
        elif on in self.domains:
            return None
        else:
            value = flatten(self.base.to_dict())[on]
        if comparable(value) not in domain.condition.values:
            return None
        return (f"{path} [{comparable(value)}]", domain.at(value)) if isinstance(domain, Cases) else (path, domain)

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination, the first domain slowest. Raises ValueError for a range: a grid needs choices."""
        for path, domain in self.domains.items():
            parts = [case for _, case in domain.cases] if isinstance(domain, Cases) else [domain]
            if any(isinstance(part, Range) for part in parts):
                raise ValueError(
                    f"{path} {domain} is a range and a grid needs choices: "
                    f"give some with --space {path}=a,b,c, or search with --searcher random"
                )
        return self._combinations(list(self.domains))

    def grid_size(self) -> int:
        return sum(1 for _ in self.grid())

    def corners(self, paths: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every combination of the ends of all domains, or of some and those that they depend on: for checks.

        At most MAX_CORNERS of them.
        """
        chosen = set(self.domains if paths is None else paths)
        while True:
            on = {domain.condition.path for path, domain in self.domains.items() if path in chosen and domain.condition}
            if on <= chosen:
                break
            chosen |= on
        return itertools.islice(self._combinations([path for path in self.domains if path in chosen]), MAX_CORNERS)

    def model_corners(self) -> Iterator[dict[str, Any]]:
        """The corners of what decides the network."""
        return self.corners([path for path in self.domains if path == RECIPE or path.startswith("model.")])

    def start_corners(self) -> Iterator[dict[str, Any]]:
        """The corners of what decides the network and how it begins: also its initialisation and stochastic depth."""
        deciding = (RECIPE, "model", "init", "stochastic_depth")
        return self.corners([path for path in self.domains if path.partition(".")[0] in deciding])

    def allows(self, num_params: int, macs: int) -> bool:
        """Whether a network of that size is part of the space."""
        too_many = self.max_params is not None and num_params > self.max_params
        return not too_many and not (self.max_macs is not None and macs > self.max_macs)

    def to_dict(self) -> dict[str, Any]:
        known: dict[str, Any] = {
            "config": self.base.to_dict(),
            "domains": {path: asdict(domain) for path, domain in self.domains.items()},
        }
        # Only what is there, so that a study stays the same when there come more ways to limit one.
        if self.recipes:
            known["recipes"] = {name: config.to_dict() for name, config in self.recipes.items()}
        for limit in ("max_params", "max_macs"):
            if getattr(self, limit) is not None:
                known[limit] = getattr(self, limit)
        return known

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> "SearchSpace":
        """The inverse of `to_dict`."""
        return cls(
            name,
            TrainConfig.from_dict(values["config"]),
            {path: domains_.from_dict(known) for path, known in values["domains"].items()},
            {name: TrainConfig.from_dict(known) for name, known in values.get("recipes", {}).items()},
            values.get("max_params"),
            values.get("max_macs"),
        )

    def _combinations(self, paths: list[str], chosen: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        chosen = chosen or {}
        if not paths:
            yield dict(chosen)
            return
        path, *rest = paths
        found = self.domain_at(path, chosen)
        if found is None:
            yield from self._combinations(rest, chosen)
            return
        for value in found[1].corners():
            yield from self._combinations(rest, {**chosen, path: value})
