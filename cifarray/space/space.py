"""What varies: the search space = a base train config plus `{dotted field: domain}`, some of them on a condition.

Here: the train configs of its points, pinning, the grid, checking its corners. Not here: domains
(`cifarray.space.domains`), how they hang on each other (`tree`), which of them a rule reads together (`rules`), which
point to try next (`cifarray.study.samplers`).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from cifarray.config import TrainConfig, override
from cifarray.fields import flatten
from cifarray.space import domains as domains_
from cifarray.space.domains import AnyDomain, Cases, Range, comparable
from cifarray.space.rules import CONFIG, Rule, products
from cifarray.space.tree import Tree

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
        fields = flatten(self.base.to_dict()).keys()
        for number, (path, domain) in enumerate(self.domains.items()):
            if domain.condition is not None:
                on = domain.condition.path
                if on not in list(self.domains)[:number] and on not in fields:
                    raise ValueError(
                        f"{path} varies {domain.condition}, and {on} is neither a domain before it nor a field: "
                        "name one that is"
                    )
        alone = [(path,) for path in self.domains]
        for corner in self.corners_of([*alone, *CONFIG]):
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
        return self.changed(values, {})

    def vary(self, domains: Mapping[str, AnyDomain]) -> "SearchSpace":
        """Domains added or replaced."""
        return self.changed({}, domains)

    def changed(
        self,
        pinned: Mapping[str, Any],
        varied: Mapping[str, AnyDomain],
        max_params: int | None = None,
        max_macs: int | None = None,
    ) -> "SearchSpace":
        """As `pin` and then `vary`, but only what comes out must keep all rules.

        Limits are put in place of those that it has; None leaves one as it is.
        """
        return replace(
            self,
            base=override(self.base, pinned),
            domains={**self.domains_beside(pinned), **varied},
            recipes={name: override(config, pinned) for name, config in self.recipes.items()},
            max_params=self.max_params if max_params is None else max_params,
            max_macs=self.max_macs if max_macs is None else max_macs,
        )

    def domains_beside(self, pinned: Mapping[str, Any]) -> dict[str, AnyDomain]:
        """What still varies where some fields have a value."""
        left: dict[str, AnyDomain] = {}
        gone = set()
        for path, domain in self.domains.items():
            on = domain.condition
            lost = on is not None and on.path in pinned and comparable(pinned[on.path]) not in on.values
            if lost or (on is not None and on.path in gone):
                gone.add(path)
            elif path not in pinned:
                left[path] = domain
        return left

    @cached_property
    def tree(self) -> Tree:
        return Tree(self.domains, flatten(self.base.to_dict()))

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination, the first domain slowest. Raises ValueError for a range: a grid needs choices."""
        return (self.tree.point_at(number) for number in range(self.grid_size()))

    def grid_size(self) -> int:
        """Points of the grid, whatever the limits. Raises ValueError for a range: a grid needs choices."""
        for path, domain in self.domains.items():
            parts = [case for _, case in domain.cases] if isinstance(domain, Cases) else [domain]
            if any(isinstance(part, Range) for part in parts):
                raise ValueError(
                    f"{path} {domain} is a range and a grid needs choices: "
                    f"give some with --space {path}=a,b,c, or search with --searcher random"
                )
        size = self.tree.num_points()
        assert size is not None
        return size

    def corners(self, paths: Collection[str]) -> Iterator[dict[str, Any]]:
        """Points at every combination of the ends of some domains, in every recipe; for checks."""
        return self.tree.corners([RECIPE, *paths])

    def corners_of(self, rules: Collection[Rule]) -> Iterator[dict[str, Any]]:
        """Points at which `rules` are to be checked: each end, and some of the inside, of every domain that they read,
        and every combination of the ends of those that one rule reads together. In every recipe; one point at least.
        """
        yield from self.corners([])
        for paths in products(rules, self.domains):
            yield from self.tree.corners([RECIPE, *paths], inside=len(paths) == 1)

    @property
    def is_limited(self) -> bool:
        """Whether some networks are too large."""
        return self.max_params is not None or self.max_macs is not None

    def allows(self, num_params: int, macs: int) -> bool:
        """Whether a network of that size is part of the space."""
        too_many = self.max_params is not None and num_params > self.max_params
        return not too_many and not (self.max_macs is not None and macs > self.max_macs)

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "config": self.base.to_dict(),
            "domains": {path: asdict(domain) for path, domain in self.domains.items()},
        }
        # Only what is there, so that a study stays the same when there come more ways to limit one.
        if self.recipes:
            plain["recipes"] = {name: config.to_dict() for name, config in self.recipes.items()}
        for limit in ("max_params", "max_macs"):
            if getattr(self, limit) is not None:
                plain[limit] = getattr(self, limit)
        return plain

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> "SearchSpace":
        """The inverse of `to_dict`."""
        return cls(
            name,
            TrainConfig.from_dict(values["config"]),
            {path: domains_.from_dict(domain) for path, domain in values["domains"].items()},
            {name: TrainConfig.from_dict(config) for name, config in values.get("recipes", {}).items()},
            values.get("max_params"),
            values.get("max_macs"),
        )
