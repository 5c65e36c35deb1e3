"""Checkpoints that nobody needs: deleted in a thread, and swept up after a driver that was killed.

Not here: which are kept (`cifarray.study.decisions`), writing them (`worker`).
"""

import contextlib
import logging
import os
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor

from cifarray import storage
from cifarray.study.state import StudyState

_TRIAL = re.compile(r"trial-\d{4,}")
_CHECKPOINT = r"trial-\d{4,}/epoch-\d{4,}\.pt"
_OURS = re.compile(rf"{_CHECKPOINT}|({_CHECKPOINT}|study\.json)\.[0-9a-f]{{8}}\.partial")

log = logging.getLogger(__name__)


class Deleter:
    """Deletes files of the study at `address` one after the other, so that a slow storage stalls no decision.

    Nothing outside of the study is touched, whatever a journal says.
    """

    def __init__(self, address: str) -> None:
        self._inside = f"{address}/"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cifarray-delete")

    def delete_soon(self, address: str) -> None:
        if not address.startswith(self._inside):
            log.warning("checkpoint %s is outside of the study's %s and stays", address, self._inside)
            return
        with contextlib.suppress(RuntimeError):  # closed: swept up at the end of the next run
            self._thread.submit(_delete, address)

    def close(self) -> None:
        """Returns when all is deleted."""
        self._thread.shutdown(wait=True)


def sweep(address: str, state: StudyState, among: Collection[str] | None = None) -> int:
    """Delete what a killed driver and its workers left in a study's folder: checkpoints that the journal does not name
    and files that were being written; and the folders of trials that have none, where storage has folders. Returns how
    many files.

    among: addresses beside which nothing is deleted, where this may not be the only driver. To be called while no
    worker of the study runs. Files of other names are nobody's business here. Raises StorageError.
    """
    named = {f"trial-{t.number:04d}/epoch-{epoch:04d}.pt" for t in state.trials.values() for epoch in t.checkpoints}
    left_over = [name for name in storage.files(address) if _OURS.fullmatch(name) and name not in named]
    addresses = [storage.join(address, name) for name in left_over]
    swept = [each for each in addresses if among is None or each in among]
    for each in swept:
        _delete(each)
    if not storage.is_remote(address):
        for folder in filter(_TRIAL.fullmatch, storage.names(address)):
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(storage.join(address, folder))
    return len(swept)


def _delete(address: str) -> None:
    try:
        storage.delete(address)
    except OSError as error:
        log.warning("checkpoint %s could not be deleted: %s", address, error)
