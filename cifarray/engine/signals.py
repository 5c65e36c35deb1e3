"""How a driver takes the signals that end it: once, in order, and in any case soon.

The first Ctrl-C, SIGTERM (`timeout`, Slurm, `ray job stop`) or SIGHUP (a terminal that was closed) is a
KeyboardInterrupt. After it a thread watches, whatever the main one hangs in: a second Ctrl-C ends the process at once,
and time does. Wrappers and terminals send one signal twice, so a repetition is no second wish. Not here: what is done
in order (`run`).
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130
"""Exit code after Ctrl-C, as a shell gives it."""
ORDER_SECONDS = 9.0
"""How long an end in order may take: `docker stop` and others kill after 10 s."""
STUCK_SECONDS = 0.5
"""How long the last words of a driver that is stuck may take."""
SAME_SECONDS = 0.5
"""A Ctrl-C that comes so soon after another signal is the same one, passed on by a wrapper."""


class Ending:
    """Whether somebody wants the end."""

    def __init__(self) -> None:
        self.wanted = False
        self.if_stuck: Callable[[], object] = lambda: None
        """What the watching thread does before it ends a process that does not end by itself."""
        self._held = False
        self._wake_up = -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """The last words are said whole: no KeyboardInterrupt in the block. A second Ctrl-C ends them all the same."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def take(self, signum: int, frame: Any) -> None:
        """The handler."""
        if self.wanted:
            return
        self.wanted = True
        reader, self._wake_up = os.pipe()
        os.set_blocking(self._wake_up, False)
        # Python's own handlers wait for the main thread, this does not.
        signal.set_wakeup_fd(self._wake_up, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(reader,), daemon=True).start()
        if not self._held:
            raise KeyboardInterrupt

    def over(self) -> None:
        """The work has ended in order."""
        if self._wake_up >= 0:
            signal.set_wakeup_fd(-1)
            os.close(self._wake_up)

    def _watch(self, reader: int) -> None:
        began = time.monotonic()
        while (left := began + ORDER_SECONDS - time.monotonic()) > 0:
            if select.select([reader], [], [], left)[0]:
                numbers = os.read(reader, 64)
                if not numbers:
                    os.close(reader)
                    return
                if signal.SIGINT in numbers and time.monotonic() - began > SAME_SECONDS:
                    _exit()
        last = threading.Timer(STUCK_SECONDS, _exit)
        last.daemon = True
        last.start()
        try:
            self.if_stuck()
        finally:
            _exit()


@contextmanager
def interruptible() -> Iterator[Ending]:
    """A signal of SIGNALS ends the block with a KeyboardInterrupt; one that is ignored (`nohup`) still is."""
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, ending.take) for number in taken}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.over()


def end_imports_in_a_word() -> None:
    """From now on a Ctrl-C that nobody takes, as while a job's modules are imported, is a word and its exit code."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)
            return
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)

    sys.excepthook = hook


@contextmanager
def handlers_kept() -> Iterator[None]:
    """What the block does to handlers is undone: Ray takes SIGTERM, in C++ too, where Python does not see it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            # The live table hides the cursor.
            os.write(sys.stdout.fileno(), b"\x1b[?25h\n")
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
