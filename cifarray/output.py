"""Standard output and standard error of a job: what cannot be shown or written there ends no search with a traceback.

A study's record is its journal; what a user reads of it meanwhile may fail (the reader of a pipe has gone, a terminal
is closed, a disk is full, an encoding has no letters for it). Not here: what is printed.
"""

import _thread
import codecs
import contextlib
import io
import signal
import sys
from typing import Any

PLAIN = {
    "×": "x",
    "·": "|",
    "–": "-",
    "±": "+/-",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "α": "alpha",
    "η": "eta",
}
"""What is written where an encoding has not the character."""


def _as_plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error("cifarray.plain", _as_plain)


class _Stream(io.FileIO):
    """A file descriptor that takes everything, and loses what cannot be written."""

    broken = False
    """Whether its reader has gone."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or len(data)
        except BrokenPipeError:
            self.broken = True
            if self.fileno() == 1:
                # As with `… | head`: nobody wants more. Where a study runs, its handler ends it in order.
                _thread.interrupt_main(signal.SIGTERM)
        except OSError:
            pass
        return len(data)


def take_streams() -> None:
    """From now on, writing to standard output and error never raises. Streams that others have replaced stay theirs."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        with contextlib.suppress(OSError):
            stream.flush()
        buffer = io.BufferedWriter(_Stream(stream.fileno(), "w", closefd=False))
        text = io.TextIOWrapper(buffer, encoding=stream.encoding, errors="cifarray.plain", line_buffering=True)
        setattr(sys, name, text)


def is_broken() -> bool:
    """Whether the reader of standard output has gone."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, _Stream) and raw.broken
