"""Joining a cluster that is not there. Tokens: tests/cluster."""

import socket

import pytest

from cifarray.engine.cluster import connected


def test_an_address_where_no_head_is_is_told_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match=f"RAY_ADDRESS is 127.0.0.1:{port} and no head of Ray answers there"):
        connected().__enter__()
