"""Checks of a builder's options: each raises ValueError with the value, the rule and the nearest valid choice.

Not here: which options a family has (its own file), which of these checks are for which (`rules`), unknown options
(`families`).
"""

import sys
from collections.abc import Sequence
from typing import Any


def check_depth(depth: Any, step: int, offset: int, least: int, hint: str = "") -> int:
    """The n of depth = step · n + offset, where `least` is the smallest depth; `hint` is added to the sentence."""
    if is_whole(depth) and depth >= least and (depth - offset) % step == 0:
        return int((depth - offset) // step)
    if isinstance(depth, (int, float)) and least < depth < 100_000:
        below = int((depth - offset) // step) * step + offset
        nearest = f"{below} or {below + step}"
    else:
        nearest = f"{least} or {least + step}"
    smallest = (least - offset) // step
    raise ValueError(f"model.depth {depth!r} is not {step}n + {offset} with n ≥ {smallest}: choose {nearest}{hint}")


def check_whole(name: str, value: Any, least: int, choices: str) -> int:
    if not is_whole(value) or value < least:
        raise ValueError(f"model.{name} {value!r} is not a whole number ≥ {least}: choose {choices}")
    return int(value)


def check_number(name: str, value: Any, low: float, choices: str, *, above: bool = False) -> float:
    """At least `low`, or more than it (`above`), and finite."""
    fits = _is_number(value) and (value > low if above else value >= low) and value <= sys.float_info.max
    if not fits:
        raise ValueError(f"model.{name} {value!r} is not a number {'>' if above else '≥'} {low:g}: choose {choices}")
    return float(value)


def check_share(name: str, value: Any, choices: str) -> float:
    """In [0, 1)."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"model.{name} {value!r} is not in [0, 1): choose {choices}")
    return float(value)


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    # `True == 1` would let a flag pass for a number.
    if not any(value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in choices):
        raise ValueError(f"model.{name} {value!r} is not one of its values: choose {_either(choices)}")


def check_flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"model.{name} {value!r} is neither true nor false: choose one")
    return value


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _either(choices: Sequence[Any]) -> str:
    *first, last = map(str, choices)
    return f"{', '.join(first)} or {last}" if first else last
