"""Joining a cluster that is not there, and what of the surroundings Ray would stumble over. Tokens: tests/cluster."""

import contextlib
import os
import socket
import subprocess
import sys

import psutil
import pytest

from cifarray.engine import connection, ray_internals
from cifarray.engine.connection import connected
from cifarray.errors import StudyError


def test_an_address_where_no_head_is_is_told_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=f"RAY_ADDRESS is 127.0.0.1:{port} and no head of Ray answers there"):
        connected().__enter__()


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("http://127.0.0.1:8265", "submit it with ray job submit"),
        ("ray://127.0.0.1:10001", "name that"),
        ("somewhere", "name that"),
        ("head:port", "name that"),
    ],
)
def test_an_address_that_is_no_heads_is_told_before_ray_is_asked(monkeypatch, address, remedy):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(
        ConnectionError, match=f"RAY_ADDRESS is {address}, and .* HOST:PORT: {remedy}.*, or unset RAY_ADDRESS"
    ):
        connected().__enter__()


@pytest.mark.parametrize(("named", "left_behind"), [("local", "127.0.0.1:6379"), ("auto", ""), ("", "")])
def test_where_there_is_no_cluster_one_is_started(monkeypatch, named, left_behind):
    monkeypatch.setenv("RAY_ADDRESS", named)
    monkeypatch.setattr(ray_internals, "head_address", lambda: left_behind)
    assert connection._head() == "local"


def test_the_longest_folder_has_room_for_the_longest_of_rays_sockets(monkeypatch):
    """Linux takes 107 bytes."""
    longest = "/" + "f" * (connection.LONGEST_FOLDER - len("//ray"))
    monkeypatch.setenv("RAY_TMPDIR", longest)
    assert connection._temporary_folder() == f"{longest}/ray"
    monkeypatch.setenv("RAY_TMPDIR", longest + "f")
    assert connection._temporary_folder() == "/tmp/ray"
    session = f"{longest}/ray/session_2026-11-26_00-32-14_820978_4194304"
    for name in ("plasma_store", "raylet", "dash_UsageStatsHead"):
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError):
            client.connect(f"{session}/sockets/{name}")


def test_a_long_folder_is_told_where_there_is_no_short_one(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/" + "long" * 25)
    monkeypatch.setattr(connection, "SHORT_FOLDERS", ("/nowhere",))
    with pytest.raises(StudyError, match="TMPDIR /longlong.* is too long, .* set RAY_TMPDIR to a folder"):
        connection._temporary_folder()


def test_variables_of_the_shell_change_no_study():
    """Ray would train without Train's version 2, print tables of Tune's, or end because of an old folder."""
    shell = {"RAY_TRAIN_V2_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "1", "TUNE_RESULT_DIR": "/old", "RAY_AUTH_MODE": "x"}
    code = "import os, cifarray.engine; print([os.environ.get(name) for name in " + repr(list(shell)) + "])"
    process = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **shell}, capture_output=True, text=True, check=True
    )
    assert process.stdout == "['1', '0', None, 'x']\n"


def test_a_ray_that_is_started_here_takes_no_well_known_port(ray_session):
    """Those of a head: its own, the dashboard's, the one for clients, its agent's, which takes jobs."""
    listening = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            listening |= {each.laddr.port for each in process.net_connections("inet") if each.status == "LISTEN"}
    assert listening
    assert not listening & {6379, 8265, 10001, 52365}
