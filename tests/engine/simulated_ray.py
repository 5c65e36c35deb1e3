"""As much of Ray as the engine's own code needs, in one process and without chance: the order in which messages
arrive, answers come back and processes get on is up to whoever plays a scene.

Here: a clock, an event loop for the actors that stands still unless it is told to go on, processes, calls to actors.
Not here: what the processes do (`simulated_study`).
"""

import asyncio
import selectors
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any

import ray

NODE = "0" * 56
"""Ray takes no other ids."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is a number that `advance` moves on. What is left to threads waits in `jobs`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.scheduled = 0
        self.jobs: list[tuple[asyncio.Future, Callable[[], Any]]] = []
        super().__init__(_NeverWaits(self))
        # Of answers that nobody waits for any more.
        self.set_exception_handler(lambda loop, context: None)

    def time(self) -> float:
        return self.now

    def call_soon(self, *args, **options):
        self.scheduled += 1
        return super().call_soon(*args, **options)

    def run_in_executor(self, executor, function, *args):
        future = self.create_future()
        self.jobs.append((future, partial(function, *args)))
        return future

    def finish_job(self, index: int) -> None:
        future, function = self.jobs.pop(index)
        if not future.done():
            future.set_result(function())

    def settle(self) -> None:
        """Every coroutine goes as far as it can at this time."""

        async def until_idle():
            before = None
            while before is None or self.scheduled > before + 1:
                before = self.scheduled
                await asyncio.sleep(0)

        self.run_until_complete(until_idle())

    def advance(self, seconds: float) -> None:
        self.run_until_complete(asyncio.sleep(seconds))
        self.settle()


class _NeverWaits(selectors.DefaultSelector):
    """Where the loop would wait for its next timer, that time has come."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout=None):
        if timeout:
            self.loop.now += timeout
        return []


class Killed(BaseException):
    """What a process sees of `kill -9`: nothing, since no code catches it."""


@dataclass
class Halt:
    """Where a process stands: it waits for the answer to a `call`, for its `peers`, for nothing (`work`), or for Tune
    to take the `result` of its step."""

    kind: str
    what: Any = None


class Process:
    """Straight code that runs in a thread from one halt to the next, while everybody else stands still."""

    _of_thread = threading.local()

    def __init__(self, name: str, main: Callable[[], None]) -> None:
        self.name, self.halt, self.error, self.ended, self.hung = name, Halt("begin"), None, False, False
        self._main = main
        self._go, self._stand = threading.Semaphore(0), threading.Semaphore(0)
        self._value: Any = None
        self._raised: BaseException | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def __repr__(self) -> str:
        return f"{self.name} at {self.halt.kind} {self.halt.what or ''}"

    @classmethod
    def current(cls) -> "Process | None":
        return getattr(cls._of_thread, "process", None)

    def _run(self) -> None:
        self._of_thread.process = self
        self._go.acquire()
        try:
            if self._raised is not None:
                raise self._raised
            self._main()
        except BaseException as error:
            self.error = error
        self.ended = True
        self._stand.release()

    def stand(self, kind: str, what: Any = None) -> Any:
        """By the process itself: halt, and return what it is then given."""
        self.halt = Halt(kind, what)
        self._stand.release()
        self._go.acquire()
        if self._raised is not None:
            raise self._raised
        return self._value

    def go_on(self, value: Any = None, error: BaseException | None = None) -> None:
        """By the scene: the process goes on to its next halt."""
        self._value, self._raised = value, error
        self._go.release()
        self._stand.acquire()
        if self.error is not None and not isinstance(self.error, Exception | Killed):
            raise AssertionError(str(self.error)) from self.error

    def kill(self) -> None:
        if not self.ended:
            self.go_on(error=Killed())


@dataclass(eq=False)
class Call:
    """A message to an actor, under way until `task` is there."""

    sender: Process | None
    actor: "Actor"
    method: str
    args: tuple
    task: asyncio.Task | None = None
    again: bool = False

    def __repr__(self) -> str:
        sender = self.sender.name if self.sender else "driver"
        again = "again " if self.again else ""
        return f"{again}{self.actor.name}.{self.method}{self.args} by {sender}"

    @property
    def done(self) -> bool:
        return not self.actor.alive or (self.task is not None and self.task.done())

    @property
    def is_of_the_dead(self) -> bool:
        return self.sender is not None and self.sender.ended

    def outcome(self) -> tuple[Any, Exception | None]:
        """What the caller gets, or what is raised there."""
        if self.task is None or not self.task.done() or self.task.cancelled():
            return None, ray.exceptions.ActorDiedError()
        error = self.task.exception()
        if error is not None:
            return None, ray.exceptions.RayTaskError(self.method, str(error), error).as_instanceof_cause()
        return self.task.result(), None


@dataclass(eq=False)
class Actor:
    name: str
    instance: Any
    network: "Network"
    alive: bool = True

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *args: self.network.send(Call(Process.current(), self, method, args)))


class NothingReadyError(Exception):
    """The driver would block."""


@dataclass
class Network:
    """All actors and all calls; what stands for the module `ray` in the driver's, the trial's and the worker's code."""

    loop: VirtualLoop
    actors: dict[str, Actor] = field(default_factory=dict)
    under_way: list[Call] = field(default_factory=list)
    delivered: list[Call] = field(default_factory=list)
    exceptions: Any = ray.exceptions

    def send(self, call: Call) -> Call:
        self.under_way.append(call)
        return call

    def deliver(self, call: Call) -> None:
        """It arrives; nothing is done about it before the loop goes on."""
        self.under_way.remove(call)
        if not call.actor.alive:
            return
        self.delivered.append(call)
        call.task = self.loop.create_task(getattr(call.actor.instance, call.method)(*call.args))

    # The part of Ray's interface that is used.

    def get(self, calls: Any, timeout: float | None = None) -> Any:
        if isinstance(calls, list):
            return [self.get(call) for call in calls]
        process = Process.current()
        if process is not None:
            return process.stand("call", calls)
        for earlier in [c for c in self.under_way if c.sender is None and c.actor is calls.actor]:
            self.deliver(earlier)
            self.loop.settle()
        value, error = calls.outcome()
        if error is not None:
            raise error
        return value

    def wait(self, calls: list[Call], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[Call], list[Call]]:
        done = [call for call in calls if call.done]
        if not done and timeout > 0:
            raise NothingReadyError
        return done, [call for call in calls if not call.done]

    def get_actor(self, name: str, namespace: str = "") -> Actor:
        if name not in self.actors or not self.actors[name].alive:
            raise ValueError(f"no actor {name}")
        return self.actors[name]

    def kill(self, actor: Actor) -> None:
        actor.alive = False
        for call in self.delivered:
            if call.actor is actor and call.task is not None:
                call.task.cancel()
        self.loop.settle()

    def remote(self, **options: Any) -> Any:
        def decorated(cls):
            return SimpleNamespace(options=lambda name, **_: SimpleNamespace(remote=partial(self._start, cls, name)))

        return decorated

    def _start(self, cls: type, name: str, *args: Any) -> Actor:
        self.actors[name] = Actor(name, cls(*args), self)
        return self.actors[name]

    def get_runtime_context(self) -> Any:
        process = Process.current()
        return SimpleNamespace(
            gcs_address="", get_node_id=lambda: NODE, get_actor_id=lambda: process.name if process else ""
        )
