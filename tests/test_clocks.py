"""The clock of the day stamps what the journal has and decides nothing: it jumps where someone sets it."""

import ast
from pathlib import Path

import cifarray

PACKAGE = Path(cifarray.__file__).parent
READS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
STAMPS = {"journal/journal.py"}


def reads_the_clock_of_the_day(source: str) -> bool:
    named = {
        (node.value.id if isinstance(node.value, ast.Name) else "", node.attr)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    }
    imported = {
        (node.module, name.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    return bool(READS & (named | imported))


def test_nothing_but_the_journals_stamps_reads_the_clock_of_the_day():
    files = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    assert {name for name, source in files.items() if reads_the_clock_of_the_day(source)} == STAMPS
