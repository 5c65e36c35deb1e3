"""A project folder that a cluster file can be checked in: the token is there, and no test touches the real home."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the files that the cluster files name; the current folder is the project's."""
    home = tmp_path / "home"
    for name in (".ray/auth_token", ".ssh/id_ed25519"):
        file = home / name
        file.parent.mkdir(parents=True)
        file.write_text("not-a-secret")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(ROOT)
    return home
