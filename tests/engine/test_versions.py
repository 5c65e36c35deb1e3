"""What runs on a node is told by versions and by the code itself."""

import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import cifarray
from cifarray.engine.versions import command, commit, difference, digest, versions

HERE = {"python": "3.11.9", "cifarray": "0.1.0+aaaaaaaa", "torch": "2.9.0", "ray": "2.60.0"}


def test_versions_are_those_of_the_packages():
    import torch

    known = versions()
    assert known["torch"] == torch.__version__.partition("+")[0] or known["torch"] == torch.__version__
    assert known["ray"] == metadata.version("ray")
    assert known["cifarray"].startswith(f"{cifarray.__version__}+")


def test_code_that_differs_by_one_character_in_any_file_is_another_version(tmp_path):
    package = Path(cifarray.__file__).parent
    copy = shutil.copytree(package, tmp_path / "cifarray", ignore=shutil.ignore_patterns("__pycache__"))
    same = versions()["cifarray"].partition("+")[2]
    assert digest(copy) == same
    (copy / "notes.txt").write_text("no code")
    assert digest(copy) == same
    file = copy / "training" / "loop.py"
    file.write_text(file.read_text() + "\n")
    other = digest(copy)
    assert other != same
    file.rename(copy / "loop.py")
    assert digest(copy) not in (same, other)


def test_the_commit_of_a_clone_is_told_and_whether_it_was_changed(tmp_path):
    package = tmp_path / "clone" / "cifarray"
    package.mkdir(parents=True)
    assert commit(package) == ""
    (package / "file.py").write_text("1\n")
    git = ["git", "-C", str(package.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert commit(package) == head
    (package / "other.py").write_text("no tracked file")
    assert commit(package) == head
    (package / "file.py").write_text("2\n")
    assert commit(package) == f"{head} with changes"
    (package.parent / ".git" / "HEAD").unlink()
    assert commit(package) == ""


def test_the_same_is_no_difference():
    assert difference(HERE, dict(HERE)) is None


def test_other_libraries_are_told_with_both_versions():
    assert difference(HERE, {**HERE, "torch": "2.8.0", "ray": "2.59.0"}) == (
        "runs torch 2.8.0 and ray 2.59.0, the driver torch 2.9.0 and ray 2.60.0: bring it up to date (ray up again)"
    )


def test_for_other_code_the_working_directory_is_a_remedy_too():
    assert difference(HERE, {**HERE, "cifarray": "0.1.0+bbbbbbbb"}) == (
        "runs cifarray 0.1.0+bbbbbbbb, the driver cifarray 0.1.0+aaaaaaaa: bring it up to date (ray up again), "
        "or submit the job with --working-dir, so that every node runs that code"
    )


def test_the_command_is_what_a_shell_takes_without_secrets(monkeypatch):
    words = ["jobs/tune_wrn.py", "--name", "a b", "--tracking-uri", "http://me:hunter22@mlflow:5000"]
    monkeypatch.setattr("sys.argv", words)
    assert command() == "python jobs/tune_wrn.py --name 'a b' --tracking-uri 'http://me:***@mlflow:5000'"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token-of-mine")
    monkeypatch.setattr("sys.argv", ["jobs/tune_wrn.py", "--set", "x=token-of-mine"])
    assert command() == "python jobs/tune_wrn.py --set 'x=***'"
