"""Help, mistyped flags and refusals: what they say, and that nothing heavy is imported for it."""

import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from called_jobs import run
from rich.console import Console

from cifarray.cli.parser import Parser, whole
from cifarray.cli.tune import tune
from cifarray.report.sentences import say
from search_spaces import wrn

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "ray", "mlflow", "optuna", "pandas", "matplotlib", "torchvision"}

pytestmark = pytest.mark.usefixtures("storage")


def imported(job, *flags):
    """The process of a job, and the libraries that it imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(ROOT / "jobs" / f"{job}.py"), *flags],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    names = re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE)
    assert names
    return done, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        *(
            (f"{job} --help", 0)
            for job in ("tune_tricks", "ablate_tricks", "final_test", "lesion", "export", "prepare_data")
        ),
        ("prepare_data --help", 0),
        ("train --list", 0),
        ("tune_wrn --trails 3", 2),
        ("tune_wrn --set optimizer.rate=1", 2),
        ("tune_wrn --data /no/such/folder", 2),
        ("tune_wrn --set model.depth=27", 2),
        ("tune_wrn --space model.depth=11..15", 2),
        ("tune_wrn --data synthetic:100", 2),
        ("tune_wrn --storage /dev/null/below", 2),
        ("prepare_data --data cifar1O", 2),
    ],
)
def test_help_and_refusals_import_neither_torch_nor_ray_nor_mlflow(command, code):
    """Each of them takes seconds, before anything is said."""
    job, *flags = command.split()
    done, libraries = imported(job, *flags)
    assert done.returncode == code, done.stderr[-500:]
    assert not libraries & HEAVY


def test_an_address_that_is_for_jobs_is_refused_before_ray_is_imported(monkeypatch, storage):
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    done, libraries = imported("tune_wrn", "--data", "synthetic:2000")
    assert done.returncode == 2
    assert "error: RAY_ADDRESS is http://127.0.0.1:8265, and a search joins a cluster at its head" in done.stderr
    assert not libraries & HEAVY
    # What asks Ray for nothing is none of its business.
    assert imported("tune_wrn", "--data", "synthetic:2000", "--dry-run")[0].returncode == 0


def test_help_has_groups_examples_and_exit_codes_within_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for command in ("tune", "train", "compare", "ablate"):
        with pytest.raises(SystemExit):
            if command == "tune":
                run_help = tune
                run_help(wrn.space, wrn.smoke, ["--help"])
            elif command == "compare":
                importlib.import_module("cifarray.cli.compare").compare(["a"], ["a"], ["--help"])
            elif command == "ablate":
                importlib.import_module("cifarray.cli.ablate").ablate("wide_resnet_fast", ["--help"])
            else:
                importlib.import_module("cifarray.cli.train").train(["--help"])
        text = capsys.readouterr().out
        for title in ("what is trained:", "how much:", "where it is kept:", "how it runs:", "examples:", "exit codes:"):
            assert f"\n{title}\n" in text
        examples = text.partition("examples:\n")[2].partition("\n\n")[0].splitlines()
        assert len(examples) == 6  # three, each with what it is for
        assert [line.split()[0] for line in text.partition("exit codes:\n")[2].splitlines()] == [
            *("0", "1", "2", "3", "130"),
        ]
        body = text.partition("examples:")[0]
        assert max(map(len, body.splitlines()[2:])) <= 80


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        # A flag that is cut short is no flag: --trial 0 is not --trials 0.
        (["--trial", "0"], "--trial is no flag of this job: did you mean --trials?"),
        (["--trails=3"], "--trails is no flag of this job: did you mean --trials?"),
        (["--xyz"], "--xyz is no flag of this job: see --help"),
        (["--trials", "many"], "--trials 'many' is not a whole number: give one, 20 for example"),
        (["--cpus-per-worker", "x"], "--cpus-per-worker 'x' is not a number: give one, 0.5 for example"),
        (["--trials"], "--trials needs a value: give --trials N"),
        (["--name"], "--name needs a value: give --name NAME"),
        (["--set"], "--set needs a value: give --set FIELD=VALUE"),
        (["--scheduler", "ahsa"], "--strategy 'ahsa' is not one of its values: did you mean asha?"),
        (["--searcher", "bayes"], "--searcher 'bayes' is not one of its values: choose random or grid or tpe"),
        (["wide_resnet_fast"], "'wide_resnet_fast' is too much: this job takes flags alone, see --help"),
        (["--set", "epochs=3", "resnet_110"], "the recipe resnet_110 is behind --set or --space"),
        (["--set", "lr=0.1"], "lr is not a field of the train config: did you mean optimizer.lr?"),
        (["--set", "model.name=wide_resnt"], "model.name 'wide_resnt' is not known: choose wide_resnet or"),
    ],
)
def test_what_is_typed_wrong_is_answered_in_one_sentence_with_what_may_be_meant(capsys, arguments, sentence):
    assert run("tune", *arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"error: {sentence}")
    assert said.err.count("\n") == 1
    assert "usage" not in said.err + said.out


def test_what_is_missing_is_named(capsys):
    assert run("final_test") == 2
    assert capsys.readouterr().err == "error: RUN_OR_STUDY is missing: name it, see --help\n"
    assert run("train", "resnet_110", "resnet_32") == 2
    assert "'resnet_32' is too much: this job takes [RECIPE]" in capsys.readouterr().err


def test_every_flag_of_a_parser_is_offered_for_a_similar_one(capsys):
    parser = Parser("toy")
    parser.add_argument("--widen-factor", type=whole)
    with pytest.raises(SystemExit):
        parser.parse_args(["--widening-factor", "3"])
    assert "did you mean --widen-factor?" in capsys.readouterr().err


def test_a_long_sentence_is_broken_between_words_on_a_terminal_and_whole_elsewhere():
    path = "/a/very/long/path" * 6
    line = f"error: the folder {path} cannot be written: choose another --storage that you may write to, please"
    shown = {}
    for terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=terminal, width=60, color_system=None)
        say(console, f"\n{line}\n  a = 1")
        shown[terminal] = console.file.getvalue()
    assert shown[False] == f"\n{line}\n  a = 1\n"
    first, *broken, last, _ = shown[True].split("\n")
    assert (first, last) == ("", "  a = 1")
    assert path in broken
    assert " ".join(broken) == line
