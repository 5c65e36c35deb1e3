"""Reaching Ray: joining the cluster that there is, or starting one on this machine for one driver, quietly.

Not here: what is asked of Ray then (`cluster`).
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

from cifarray.engine import ray_internals
from cifarray.engine.quiet import quieten
from cifarray.engine.signals import handlers_kept
from cifarray.errors import StudyError
from cifarray.redaction import redact

NAMESPACE = "cifarray"
"""Of the actors' names."""
SHORT_FOLDERS = ("/tmp", "/var/tmp")
LONGEST_FOLDER = 107 - len("/session_2026-01-01_00-00-00_000000_4194304/sockets/dash_SomeLongModuleHead")
"""Bytes: what the path of a socket may have (Linux), without what Ray and its dashboard put behind the folder."""


_started_here = False
"""Whether this process has started the Ray that it uses."""


@contextlib.contextmanager
def connected(num_cpus: int | None = None) -> Iterator[Any]:
    """Ray, joined where RAY_ADDRESS says or a cluster runs on this machine, else started here; shut down after.

    num_cpus: start one here in any case, with so many. Raises ConnectionError if RAY_ADDRESS leads nowhere, StudyError
    if the cluster runs another Ray or Python or does not take the token.
    """
    import ray

    global _started_here
    owned = not ray.is_initialized()
    if owned:
        options: dict[str, Any] = {
            "namespace": NAMESPACE,
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        address = _head() if num_cpus is None else "local"
        _started_here = address == "local"
        temporary = _temporary_folder() if address == "local" else None
        if temporary:
            options |= {"num_cpus": num_cpus, "_temp_dir": temporary}
        try:
            starting = ray_internals.starting_for_one_driver(temporary) if _started_here else contextlib.nullcontext()
            with handlers_kept(), starting:
                ray.init(address=address, **options)
        except ray.exceptions.AuthenticationError as error:
            raise StudyError(_refusal(error)) from None
        except RuntimeError as error:
            if "Version mismatch" not in str(error):
                raise
            raise StudyError(
                f"{' '.join(str(error).split())}: run the job with the cluster's Python and Ray, or bring the "
                "cluster up to date (ray up again)"
            ) from None
    quieten()
    try:
        yield ray
    finally:
        if owned:
            ray.shutdown()


def refuse_malformed_address() -> None:
    """Raises ConnectionError if RAY_ADDRESS has not the form of a head's address; asks nobody."""
    address = os.environ.get("RAY_ADDRESS", "")
    host, _, port = address.rpartition(":")
    if address not in ("", "auto", "local") and ("/" in host or not port.isdigit()):
        remedy = "submit it with ray job submit" if host.startswith("http") else "name that, usually HOST:6379"
        raise ConnectionError(
            f"RAY_ADDRESS is {redact(address)}, and a search joins a cluster at its head, HOST:PORT: {remedy}, or "
            "unset RAY_ADDRESS"
        )


def _head() -> str:
    """Address of the head of the cluster to join; `local` for none.

    A head that was killed leaves its address behind, and Ray looks for it for minutes; to one that does not take the
    token it goes on trying too, and then does not say why. Raises ConnectionError if there is none where RAY_ADDRESS
    says, StudyError if it does not take the token.
    """
    import ray

    refuse_malformed_address()
    named = os.environ.get("RAY_ADDRESS", "")
    if named == "local":
        return named
    named = "" if named == "auto" else named
    address = named or ray_internals.head_address()
    if not address:
        return "local"
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10.0 if named else 2.0):
            pass
    except (OSError, OverflowError) as error:
        if named:
            raise ConnectionError(
                f"RAY_ADDRESS is {named} and no head of Ray answers there ({error}): start it, open its port, or unset "
                "RAY_ADDRESS"
            ) from None
        return "local"
    try:
        ray_internals.check_token(address)
    except ray.exceptions.AuthenticationError as error:
        raise StudyError(_refusal(error)) from None
    return address


def _refusal(error: Exception) -> str:
    reason = str(error).partition(". ")[0].removeprefix("RPC error: ")
    return (
        f"Ray does not let this driver in ({reason}): the token must be the cluster's own, in ~/.ray/auth_token, or "
        "where RAY_AUTH_TOKEN_PATH says, or in RAY_AUTH_TOKEN"
    )


def _temporary_folder() -> str:
    """Where a Ray that is started here has its sockets. Raises StudyError if no folder's path is short enough."""
    usual = ray_internals.temporary_folder()
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return usual
    for folder in SHORT_FOLDERS:
        if os.access(folder, os.W_OK | os.X_OK):
            return os.path.join(folder, "ray")
    raise StudyError(
        f"TMPDIR {os.path.dirname(usual)} is too long, as the paths of Ray's sockets have at most 107 bytes, and "
        f"{' and '.join(SHORT_FOLDERS)} cannot be written: set RAY_TMPDIR to a folder with a short path"
    )


def started_here() -> bool:
    """Whether the Ray that is used was started by this process, for one driver and this machine alone."""
    return _started_here
