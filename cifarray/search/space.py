"""What varies: domains, and the search space = a base train config plus `{dotted field: domain}`.

Here: the four kinds of domain, drawing a value from one, reading one from the command line, checking a space's corners.
Not here: which point to try next (`cifarray.search.samplers`).
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cifarray.config import TrainConfig, flatten, override

Value = bool | int | float | str | tuple[float, ...] | None
MAX_CORNERS = 4096


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("Choice() has no values: give at least one")

    def draw(self, source: random.Random) -> Value:
        return self.values[source.randrange(len(self.values))]

    def corners(self) -> tuple[Value, ...]:
        return self.values

    def __str__(self) -> str:
        return "{" + ", ".join(str(value) for value in self.values) + "}"


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included; uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"range {self.low}..{self.high} is empty: the first number must be below the second")
        if self.log and self.low <= 0:
            raise ValueError(f"range {self.low}..{self.high} cannot be logarithmic: its first number must be above 0")

    def draw(self, source: random.Random) -> Value:
        if self.integer:
            if not self.log:
                return source.randint(int(self.low), int(self.high))
            drawn = math.exp(source.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(drawn), int(self.low)), int(self.high))
        if self.log:
            return min(max(math.exp(source.uniform(math.log(self.low), math.log(self.high))), self.low), self.high)
        return source.uniform(self.low, self.high)

    def corners(self) -> tuple[Value, ...]:
        return (int(self.low), int(self.high)) if self.integer else (self.low, self.high)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{' (log)' if self.log else ''}"


Domain = Choice | Range


def uniform(low: float, high: float) -> Range:
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    return Range(low, high, log=True)


def integers(low: int, high: int) -> Range:
    return Range(low, high, integer=True)


def choice(*values: Value) -> Choice:
    return Choice(values)


@dataclass(frozen=True)
class SearchSpace:
    """A base train config and what varies around it.

    Raises ValueError where it is made if a dotted path does not exist or a domain's end breaks a field's rule.
    """

    name: str
    base: TrainConfig
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path, domain in self.domains.items():
            for value in domain.corners():
                override(self.base, {path: value})

    def config(self, params: Mapping[str, Any]) -> TrainConfig:
        """The train config of one point of the space."""
        return override(self.base, params)

    def pin(self, values: Mapping[str, Any]) -> "SearchSpace":
        """Fields set to a value; their domains are removed."""
        domains = {path: domain for path, domain in self.domains.items() if path not in values}
        return replace(self, base=override(self.base, values), domains=domains)

    def vary(self, domains: Mapping[str, Domain]) -> "SearchSpace":
        """Domains added or replaced."""
        return replace(self, domains={**self.domains, **domains})

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination, the first domain slowest. Raises ValueError for a range: a grid needs choices."""
        for path, domain in self.domains.items():
            if isinstance(domain, Range):
                raise ValueError(
                    f"{path} {domain} is a range and a grid needs choices: "
                    f"give some with --space {path}=a,b,c, or search with --searcher random"
                )
        choices = [domain.values for domain in self.domains.values() if isinstance(domain, Choice)]
        for values in itertools.product(*choices):
            yield dict(zip(self.domains, values, strict=True))

    def grid_size(self) -> int:
        return math.prod(len(d.values) for d in self.domains.values() if isinstance(d, Choice))

    def extremes(self, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Every combination of the ends of those domains whose path starts with `prefix`, for checks before a search.

        At most MAX_CORNERS of them.
        """
        ends = {path: domain.corners() for path, domain in self.domains.items() if path.startswith(prefix)}
        for values in itertools.islice(itertools.product(*ends.values()), MAX_CORNERS):
            yield dict(zip(ends, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        return {
            "config": self.base.to_dict(),
            "domains": {path: asdict(domain) for path, domain in self.domains.items()},
        }

    @classmethod
    def from_dict(cls, name: str, values: Mapping[str, Any]) -> "SearchSpace":
        """The inverse of `to_dict`."""
        domains: dict[str, Domain] = {
            path: Choice(tuple(known["values"])) if "values" in known else Range(**known)
            for path, known in values["domains"].items()
        }
        return cls(name, TrainConfig.from_dict(values["config"]), domains)


def parse_value(text: str) -> Value:
    """`0.1`, `4`, `true`, `none`, `[0.3,0.6]`, or a word, as typed on the command line."""
    word = text.strip()
    if word.startswith("[") and word.endswith("]"):
        return tuple(float(part) for part in word[1:-1].split(",") if part.strip())
    constants: dict[str, Value] = {"true": True, "false": False, "none": None, "null": None}
    if word.lower() in constants:
        return constants[word.lower()]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


def parse_assignment(text: str) -> tuple[str, str]:
    """`field=value` in two. Raises ValueError without the sign or a side."""
    path, sign, value = text.partition("=")
    if not sign or not path.strip() or not value.strip():
        raise ValueError(f"{text!r} is not of the form field=value, for example model.depth=16")
    return path.strip(), value.strip()


def parse_domain(text: str, replaced: Domain | None = None) -> Domain:
    """`a,b,c` a choice; `lo..hi` a range, logarithmic with `lo..hi:log` or if the domain that it replaces is."""
    if ".." not in text:
        return Choice(tuple(parse_value(part) for part in text.split(",")))
    span, _, scale = text.partition(":")
    low, high = (parse_value(part) for part in span.split("..", 1))
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or scale not in ("", "log", "linear"):
        raise ValueError(f"{text!r} is not a range: write lo..hi, lo..hi:log or lo..hi:linear, with two numbers")
    log = scale == "log" or (scale == "" and isinstance(replaced, Range) and replaced.log)
    integer = isinstance(low, int) and isinstance(high, int)
    if isinstance(replaced, Range):
        integer = integer and replaced.integer
    return Range(low, high, log=log, integer=integer)  # type: ignore[arg-type]


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two studies' descriptions, one `field: old → new` each."""
    before, after = flatten(old), flatten(new)
    return [
        f"{path}: {before.get(path, 'not there')} → {after.get(path, 'not there')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
