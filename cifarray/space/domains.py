"""Domains: the values that one field may take. Drawing one, and reading a domain from the command line.

Not here: what a field is (`cifarray.space.space`).
"""

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_NUMBER = r"\d+(?:\.\d*)?(?:e[+-]?\d+)?"

Value = bool | int | float | str | tuple[float, ...] | None

PROBED_INTEGERS, PROBED_NUMBERS = 64, 5
"""How much of a range's inside is looked at: depths are 6n + 4, fractions of images whole numbers from 1 on."""


@dataclass(frozen=True)
class Condition:
    """Holds where the field `path` has one of `values`."""

    path: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"where {self.path} is {' or '.join(map(str, self.values))}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]
    condition: Condition | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("Choice() has no values: give at least one")
        # 1, 1.0 and true are equal to Python and not to a field.
        written = [json.dumps(value) for value in self.values]
        twice = [str(value) for value, text in zip(self.values, written, strict=True) if written.count(text) > 1]
        if twice:
            raise ValueError(f"{self} has {twice[0]} twice: give each value once")

    def draw(self, source: random.Random) -> Value:
        return self.values[source.randrange(len(self.values))]

    def corners(self) -> tuple[Value, ...]:
        return self.values

    def probes(self) -> tuple[Value, ...]:
        return self.values

    def all_values(self) -> Sequence[Value] | None:
        """In the grid's order; None if there are infinitely many."""
        return self.values

    def when(self, path: str, *values: Value) -> "Choice":
        """Varied only where another field, which comes before it in the space, has one of these values."""
        return replace(self, condition=Condition(path, values))

    def __str__(self) -> str:
        return "{" + ", ".join(str(value) for value in self.values) + "}" + _suffix(self.condition)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included; uniform, or uniform in the logarithm."""

    low: float
    high: float
    log: bool = False
    integer: bool = False
    condition: Condition | None = None

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

    def probes(self) -> tuple[Value, ...]:
        """Its ends and some of its inside: a rule that both ends keep may be broken between them."""
        if self.integer:
            low, high = int(self.low), int(self.high)
            return (*range(low, min(low + PROBED_INTEGERS, high)), high)
        # Steps of the golden ratio: no two alike, and no round numbers.
        shares = [number * (math.sqrt(5) - 1) / 2 % 1 for number in range(1, PROBED_NUMBERS + 1)]
        return (*self.corners(), *(self.low + share * (self.high - self.low) for share in shares))

    def all_values(self) -> Sequence[Value] | None:
        """Rising; None if there are infinitely many."""
        return range(int(self.low), int(self.high) + 1) if self.integer else None

    def when(self, path: str, *values: Value) -> "Range":
        """Varied only where another field, which comes before it in the space, has one of these values."""
        return replace(self, condition=Condition(path, values))

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{' (log)' if self.log else ''}{_suffix(self.condition)}"


Domain = Choice | Range


@dataclass(frozen=True)
class Cases:
    """A domain for each value of another field, which comes before it in the space; none for its other values."""

    path: str
    cases: tuple[tuple[Value, Domain], ...]

    @property
    def condition(self) -> Condition:
        return Condition(self.path, tuple(value for value, _ in self.cases))

    def at(self, value: Any) -> Domain:
        return dict(self.cases)[comparable(value)]

    def __str__(self) -> str:
        return "; ".join(f"{domain} where {self.path} is {value}" for value, domain in self.cases)


AnyDomain = Domain | Cases


def cases(path: str, domains: Mapping[Value, Domain]) -> Cases:
    """`cases("model.widening", {"additive": choice(48, 84), "multiplicative": choice(4.75, 8)})`."""
    return Cases(path, tuple(domains.items()))


def uniform(low: float, high: float) -> Range:
    return Range(low, high)


def log_uniform(low: float, high: float) -> Range:
    return Range(low, high, log=True)


def integers(low: int, high: int) -> Range:
    return Range(low, high, integer=True)


def choice(*values: Value) -> Choice:
    return Choice(values)


def from_dict(written: dict[str, Any]) -> AnyDomain:
    """The inverse of `dataclasses.asdict`, as a journal gives it back: tuples have become lists."""
    if "cases" in written:
        return Cases(written["path"], tuple((comparable(value), _plain(domain)) for value, domain in written["cases"]))
    return _plain(written)


def _plain(written: dict[str, Any]) -> Domain:
    fields = dict(written)
    if fields.get("condition"):
        condition = fields["condition"]
        fields["condition"] = Condition(condition["path"], tuple(map(comparable, condition["values"])))
    if "values" in fields:
        return Choice(tuple(map(comparable, fields["values"])), fields.get("condition"))
    return Range(**fields)


def comparable(value: Any) -> Any:
    """A value as the journal gives it back: tuples have become lists."""
    return tuple(value) if isinstance(value, list) else value


def _suffix(condition: Condition | None) -> str:
    return f" {condition}" if condition else ""


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


def parse_domain(text: str, replaced: AnyDomain | None = None) -> Domain:
    """`a,b,c` a choice; `lo..hi` a range, logarithmic with `lo..hi:log` or if the domain that it replaces is.

    The condition of the domain that it replaces stays. Raises ValueError for anything else.
    """
    condition = replaced.condition if replaced else None
    if isinstance(replaced, Cases):
        replaced = None
    dashed = re.fullmatch(rf"({_NUMBER})-({_NUMBER})", text)
    if "..." in text or dashed:
        low, high = dashed.groups() if dashed else re.split(r"\.{3,}", text, maxsplit=1)
        raise ValueError(f"{text!r} is not a range: write it with two dots, {low}..{high}")
    if ".." not in text:
        return Choice(tuple(parse_value(part) for part in _parts(text)), condition)
    span, _, scale = text.partition(":")
    low, high = (parse_value(part) for part in span.split("..", 1))
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or scale not in ("", "log", "linear"):
        raise ValueError(f"{text!r} is not a range: write lo..hi, lo..hi:log or lo..hi:linear, with two numbers")
    log = scale == "log" or (scale == "" and isinstance(replaced, Range) and replaced.log)
    integer = isinstance(low, int) and isinstance(high, int)
    if isinstance(replaced, Range):
        integer = integer and replaced.integer
    return Range(low, high, log=log, integer=integer, condition=condition)  # type: ignore[arg-type]


def _parts(text: str) -> list[str]:
    """Split at the commas that are not inside of brackets: a value may be a list."""
    return re.split(r",(?![^\[]*\])", text)
