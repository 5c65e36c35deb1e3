"""The signals that end a driver: the first ends it in order, another Ctrl-C and time end it in any case."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from cifarray.engine.signals import INTERRUPTED, SIGNALS, handlers_kept, interruptible


@pytest.fixture(autouse=True)
def hearing():
    """As from a terminal; and nothing that a test sets outlives it."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_ends_the_block_as_ctrl_c_does(number):
    with pytest.raises(KeyboardInterrupt), interruptible() as ending:
        os.kill(os.getpid(), number)
    assert ending.wanted


def test_what_the_first_signal_has_begun_is_not_disturbed_by_those_of_the_same_wish():
    """`timeout` and terminals send theirs to the process and to its group."""
    done = False
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                os.kill(os.getpid(), number)
            done = True
    assert done


def test_last_words_are_said_whole():
    said = False
    with contextlib.suppress(KeyboardInterrupt), interruptible() as ending, ending.held():
        os.kill(os.getpid(), signal.SIGTERM)
        said = True
    assert said
    assert ending.wanted


def test_what_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible() as ending:
        os.kill(os.getpid(), signal.SIGHUP)
    assert not ending.wanted


def test_afterwards_all_is_as_it_was():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_another_thread_takes_no_signals():
    failed = []

    def work():
        try:
            with interruptible(), handlers_kept():
                pass
        except ValueError as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed


def test_a_handler_that_a_library_takes_is_taken_back():
    with interruptible() as ending:
        with handlers_kept():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert ending.wanted


@contextlib.contextmanager
def stuck(*, order_seconds):
    """A process that takes the first signal and then hangs where no handler of Python runs; `last` is its last word."""
    code = f"""
        import ctypes, signal
        from cifarray.engine import signals
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signals.ORDER_SECONDS = {order_seconds}
        with signals.interruptible() as ending:
            ending.if_stuck = lambda: print("last", flush=True)
            try:
                print("ready", flush=True)
                signal.pause()
            except KeyboardInterrupt:
                print("stuck", flush=True)
                # C that no signal disturbs.
                mutex = ctypes.create_string_buffer(64)
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
                ctypes.CDLL(None).pthread_mutex_lock(mutex)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_second_ctrl_c_ends_a_driver_that_hangs():
    with stuck(order_seconds=60) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stuck\n"
        # Again and again, until it is no more taken for a repetition of the first.
        for _ in range(100):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
                break
        assert process.poll() == INTERRUPTED
        assert process.stdout.read() == ""


def test_a_driver_that_hangs_is_ended_after_its_last_word():
    with stuck(order_seconds=0.1) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == INTERRUPTED
        assert process.stdout.read() == "stuck\nlast\n"


@pytest.mark.parametrize("job", ["tune_wrn", "final_test"])
@pytest.mark.parametrize("module", ["cifarray.cli.flags", "pydantic", "cifarray.storage"])
def test_ctrl_c_while_a_jobs_modules_are_imported_is_a_word_and_its_exit_code(job, module):
    code = f"""
        import os, runpy, signal, sys

        class Interrupting:
            def find_spec(self, name, path=None, target=None):
                if name == "{module}":
                    os.kill(os.getpid(), signal.SIGINT)

        sys.meta_path.insert(0, Interrupting())
        runpy.run_path("jobs/{job}.py", run_name="__main__")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")
