"""README and docs/ say what is so: links, paths, commands, flags, fields and code in them.

Commands are not run. A job's command line goes through the job itself up to its plan (`--dry-run`), any other through
its argument parser. Not here: whether a sentence is true.
"""

import argparse
import ast
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

import cifarray
from cifarray.config import TrainConfig
from cifarray.fields import flatten

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKEFILE = (ROOT / "Makefile").read_text()
PLACES = "jobs|search_spaces|cifarray|clusters|docs|tests"
LINES_OF_README = 150
SHELL = "();<>|&"
"""What ends a command."""
SOURCES = [path for folder in ("cifarray", "tests") for path in (ROOT / folder).rglob("*.py")]


def blocks(page, language):
    return [text for found, text in FENCE.findall(page.read_text()) if found == language]


def code(page):
    """Every line of the page's code blocks that are no Python, and every code span of its prose."""
    lines = [line for block in blocks(page, "") for line in block.replace("\\\n", "").splitlines()]
    prose = FENCE.sub("", page.read_text())
    return [*lines, *(re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose))]


def of_pages(find):
    """`pytest.param(page, found)` for everything that `find` finds on any page, once a page."""
    return [
        pytest.param(page, found, id=f"{page.name}: {found}") for page in PAGES for found in dict.fromkeys(find(page))
    ]


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text()))


def anchors(page):
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), of_pages(links))
def test_a_link_leads_somewhere(page, link):
    assert "://" not in link, "it is on the web, where no test can follow it: say here what it says there"
    target, _, anchor = link.partition("#")
    file = (page.parent / target).resolve() if target else page
    assert file.exists(), f"{file} does not exist"
    assert not anchor or anchor in anchors(file), f"{file.name} has {', '.join(sorted(anchors(file)))}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.md"], ids=lambda page: page.name)
def test_every_page_is_reached_from_readme(page):
    assert f"docs/{page.name}" in links(ROOT / "README.md")


def paths(page):
    """Files and folders of the project; NAME and STUDY stand for others."""
    return [
        path
        for line in code(page)
        for path in re.findall(rf"(?<![\w./~-])(?:{PLACES})/[\w./-]*", line)
        if not re.search(r"\b[A-Z]{3,}\b", path)
    ]


@pytest.mark.parametrize(("page", "path"), of_pages(paths))
def test_a_path_exists(page, path):
    assert (ROOT / path).exists()


def made(page):
    """`make test`, with the variables that are given to it."""
    return [command for line in code(page) for command in re.findall(r"\bmake [a-z][\w-]*(?: [A-Z]+=)*", line)]


@pytest.mark.parametrize(("page", "command"), of_pages(made))
def test_what_make_is_asked_for_is_in_the_makefile(page, command):
    _, target, *variables = command.split()
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"the Makefile has no target {target}"
    assert all(f"$({variable.rstrip('=')})" in MAKEFILE for variable in variables)


def commands(page):
    """`python jobs/….py …` and `python -m …`, wherever in a line, up to a comment or the shell's next command."""
    found = []
    for line in code(page):
        lexer = shlex.shlex(line if "python" in line else "", posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for number, word in enumerate(words[:-1]):
            if word == "python" and (words[number + 1] == "-m" or words[number + 1].startswith("jobs/")):
                end = (i for i, each in enumerate(words) if i > number and set(each) <= set(SHELL))
                found.append(shlex.join(words[number + 1 : next(end, None)]))
    return found


class ParsedError(Exception):
    """A parser took its command line, and there is no plan to be shown."""


@pytest.mark.parametrize(("page", "command"), of_pages(commands))
def test_a_command_line_is_one_that_its_job_takes(page, command, monkeypatch, storage, capsys):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_plan(self, *arguments):
        flags = parse(self, *arguments)
        # A study that stands for the reader's own cannot be looked up, and a list is no plan.
        of_a_study = hasattr(flags, "study") or getattr(flags, "teacher", None) == "STUDY"
        of_a_study = of_a_study or "STUDY" in getattr(flags, "warm_start", ())
        if not hasattr(flags, "dry_run") or of_a_study or getattr(flags, "list", False):
            raise ParsedError
        flags.dry_run = True
        # The reader's own images cannot be opened; generated ones are as many as CIFAR's.
        flags.data = "synthetic:50000" if flags.data == "FOLDER" else flags.data
        return flags

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_plan)
    words = shlex.split(command)
    if words[0] == "-m":
        module = ROOT.joinpath(*words.pop(1).split("."))
        words[0] = str(module / "__main__.py" if module.is_dir() else module.with_suffix(".py"))
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises((ParsedError, SystemExit)) as end:
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    assert getattr(end.value, "code", 0) == 0, capsys.readouterr().err


def fields(page):
    return [span for span in code(page) if re.fullmatch(r"(data|optimizer|schedule|init|distillation)\.\w+", span)]


@pytest.mark.parametrize(("page", "field"), of_pages(fields))
def test_a_field_is_one_of_the_train_config(page, field):
    assert field in flatten(TrainConfig().to_dict())


def flags_of_prose(page):
    return [flag for span in code(page) if span.startswith("--") for flag in re.findall(r"--[a-z][a-z-]*", span)]


@pytest.mark.parametrize(("page", "flag"), of_pages(flags_of_prose))
def test_a_flag_is_one_of_a_job(page, flag):
    assert any(f'"{flag}"' in path.read_text() for path in (ROOT / "cifarray" / "cli").glob("*.py"))


def variables(page):
    return re.findall(r"\bCIFARRAY_[A-Z0-9_]+", page.read_text())


@pytest.mark.parametrize(("page", "variable"), of_pages(variables))
def test_an_environment_variable_is_read(page, variable):
    assert any(f'"{variable}"' in path.read_text() for path in SOURCES)


@pytest.mark.parametrize(("page", "block"), [(page, block) for page in PAGES for block in blocks(page, "python")])
def test_python_code_runs(page, block):
    """Of code that needs a trained network, the imports."""
    tree = ast.parse(block)
    if "cifarray.load(" in block:
        tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert callable(cifarray.load)
    exec(compile(tree, page.name, "exec"), {"__name__": "docs"})


def test_readme_is_short():
    assert len(PAGES[0].read_text().splitlines()) <= LINES_OF_README


def test_the_file_tree_names_what_there_is():
    (tree,) = (block for block in blocks(PAGES[0], "") if "search_spaces/" in block)
    folder, named = ROOT, []
    for line in tree.splitlines():
        name = line.split()[0]
        named.append((folder if line.startswith(" ") else ROOT) / name)
        if not line.startswith(" "):
            folder = ROOT / name
    assert [path for path in named if not path.exists()] == []
    rooms = {path.parent for path in (ROOT / "cifarray").glob("*/__init__.py")}
    assert rooms <= set(named), "a room of the package is missing in the tree"
