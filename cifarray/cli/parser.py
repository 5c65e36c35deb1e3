"""The parser that every job has: flags in groups, examples and exit codes in `--help`, mistakes in one sentence.

Not here: the flags themselves (`flags`, and the file of each job).
"""

import argparse
import difflib
import os
import re
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from cifarray.engine.signals import INTERRUPTED
from cifarray.output import take_streams
from cifarray.report.sentences import print_error

REFUSED, PAUSED = 2, 3
WITHOUT_TRIALS = (
    (0, "done"),
    (1, "an error that is not yours"),
    (REFUSED, "refused: what was typed cannot be"),
)
EXIT_CODES = (
    (0, "done, and a trial has completed"),
    (1, "no trial has completed, or an error that is not yours"),
    (REFUSED, "refused: what was typed cannot be, and nothing was started"),
    (PAUSED, "paused: mend what it says, and the same command goes on"),
    (INTERRUPTED, "interrupted (Ctrl-C): the same command goes on"),
)
WIDTH = 80
Examples = Sequence[tuple[str, str]]
"""What is typed after a job's name, and what it is for."""

_TOO_FEW = re.compile(r"expected (?:at least )?one argument")
_UNKNOWN = re.compile(r"unrecognized arguments: (\S*)")
_MISSING = re.compile(r"the following arguments are required: (.*)")


class Parser(argparse.ArgumentParser):
    """No flag has a shorter form, so that none means another one than its writer meant.

    examples: pairs of what is typed after the job's name and what it is for.
    """

    def __init__(
        self, description: str, examples: Examples = (), exit_codes: Sequence[tuple[int, str]] = EXIT_CODES
    ) -> None:
        # The first thing that every job does.
        take_streams()
        super().__init__(
            description=description,
            usage=argparse.SUPPRESS,
            epilog=_epilog(examples, exit_codes),
            formatter_class=_Formatter,
            allow_abbrev=False,
        )

    def format_help(self) -> str:
        given = " ".join(_shown(action) for action in self._get_positional_actions())
        return f"usage: {_command()} {f'{given} ' if given else ''}[FLAGS]\n\n{super().format_help()}"

    def error(self, message: str) -> NoReturn:
        """Ends with exit code 2. argparse's own words are put as the others are: the value, the rule, the remedy."""
        name, about, rule = message.partition(": ")
        if name.startswith("argument ") and about:
            flag = name.removeprefix("argument ").split("/")[-1]
            example = next((action.metavar for action in self._actions if flag in action.option_strings), None)
            message = f"{flag} {rule}"
            if _TOO_FEW.match(rule):
                message = f"{flag} needs a value: give {flag} {example or flag.strip('-').upper()}"
        unknown = _UNKNOWN.match(message)
        if unknown is not None:
            message = self._about_unknown(unknown[1])
        missing = _MISSING.fullmatch(message)
        if missing is not None:
            message = f"{missing[1]} is missing: name it, see --help"
        print_error(f"error: {message}")
        sys.exit(REFUSED)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f"{value!r} is not one of its values: {_choose(value, list(action.choices))}"
            )

    def _about_unknown(self, text: str) -> str:
        if not text.startswith("-"):
            taken = " ".join(map(_shown, self._get_positional_actions()))
            return f"{text!r} is too much: this job takes {taken or 'flags alone'}, see --help"
        flag = text.partition("=")[0]
        names = [name for name in self._option_string_actions if name not in ("-h", "--help")]
        return f"{flag} is no flag of this job: {_choose(flag, names, 'see --help')}"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Within 80 columns, also where a terminal is wider: a longer line of help is harder to read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26, width=min(WIDTH, shutil.get_terminal_size().columns) - 2)


def whole(text: str) -> int:
    """A whole number, as a flag has it."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number: give one, 20 for example") from None


def number(text: str) -> float:
    """A number, as a flag has it."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: give one, 0.5 for example") from None


_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """Seconds, from `90m`, `4h`, `1d12h`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give a number with s, m, h or d, 4h for example")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in parts)


def _choose(value: str, choices: Collection[str], rest: str | None = None) -> str:
    similar = difflib.get_close_matches(str(value), list(choices), n=1, cutoff=0.6)
    if similar:
        return f"did you mean {similar[0]}?"
    return rest or f"choose {' or '.join(map(str, choices))}"


def _shown(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    return {"?": f"[{name}]", "*": f"[{name} …]"}.get(str(action.nargs), name)


def _command() -> str:
    """As it was typed, but for the path of the interpreter."""
    return f"python {os.path.relpath(sys.argv[0])}" if sys.argv[0].endswith(".py") else os.path.basename(sys.argv[0])


def _epilog(examples: Examples, exit_codes: Sequence[tuple[int, str]]) -> str:
    typed = "".join(f"\n  {f'{_command()} {flags}'.rstrip()}\n      {what}" for flags, what in examples)
    codes = "".join(f"\n  {code:<5} {meaning}" for code, meaning in exit_codes)
    text = f"exit codes:{codes}"
    return (f"examples:{typed}\n\n{text}" if typed else text).replace("%", "%%")
