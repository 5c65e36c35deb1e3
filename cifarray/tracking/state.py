"""How far the mirror is: the file `tracking.json` beside a study's journal.

Here: reading and writing it, and counting what waits. Everybody who sees the study may read it, so that no password is
in it. Not here: who moves the position on (`cifarray.tracking.mirror`).
"""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cifarray.redaction import redact

FILE_NAME = "tracking.json"


@dataclass
class State:
    """What MLflow has acknowledged of one journal."""

    tracking_uri: str
    """Without its password."""
    experiment: str
    """Its name."""
    experiment_id: str = ""
    parent_run_id: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    """Trial number to run id (JSON has string keys only)."""
    position: int = 0
    """Bytes of the journal that were sent and acknowledged."""
    error: str = ""
    """Why MLflow does not answer; empty if it did."""
    address: str = ""
    """Of the study's folder, as MLflow was told; empty in older files."""
    copy: str = ""
    """Tells the runs of this copy of a study from those of the original and of other copies; empty if it is none."""
    doubtful: bool = False
    """Requests went without an answer: what they did, MLflow is to be asked."""
    remark: str = ""
    """What the user should know of it."""
    model: str = ""
    """What became of the winner's network, in a sentence; empty before the study's end."""

    @classmethod
    def load(cls, journal: Path, tracking_uri: str, experiment: str) -> "State":
        """The state beside `journal`; a fresh one if there is none, if it is torn, or if it is about another MLflow."""
        fresh = cls(redact(tracking_uri), experiment)
        try:
            state = cls(**json.loads(journal.with_name(FILE_NAME).read_bytes()))
            # Older files have the password.
            state.tracking_uri = redact(state.tracking_uri)
        except (FileNotFoundError, ValueError, TypeError):
            return fresh
        same_mlflow = (state.tracking_uri, state.experiment) == (fresh.tracking_uri, experiment)
        return state if same_mlflow else replace(fresh, address=state.address, copy=state.copy)

    def save(self, journal: Path) -> None:
        path = journal.with_name(FILE_NAME)
        partial = path.with_name(f"{FILE_NAME}.partial")
        partial.write_text(json.dumps(asdict(self)))
        os.replace(partial, path)

    @classmethod
    def cut_back(cls, journal: Path) -> None:
        """The end of the journal was taken away: what comes in its place is news, too."""
        try:
            state = cls(**json.loads(journal.with_name(FILE_NAME).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return
        state.position, state.doubtful = min(state.position, journal.stat().st_size), True
        state.save(journal)

    def waiting(self, journal: Path) -> int:
        """Events in the journal that MLflow has not acknowledged."""
        try:
            with open(journal, "rb") as file:
                file.seek(self.position)
                return sum(line.endswith(b"\n") for line in file)
        except FileNotFoundError:
            return 0
