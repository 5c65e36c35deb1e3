"""A study as it runs on Ray, without Ray, torch and chance: the engine's own code from the driver to the workers.

Of the engine, driver, adapters, pool, trial, host and worker are what they are. Simulated are Ray (`simulated_ray`),
the Train run behind a group, Tune's loop, the training and the storage. `steps` are all that can happen next if nothing
breaks; what breaks is up to the test (`test_protocol`).

What must hold of every event is asserted where it is written.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from simulated_ray import NODE, Call, Network, NothingReadyError, Process, VirtualLoop
from simulated_workers import PATIENCE, Rank, SimulatedTraining, Thread, TrainRun, WrongError

from cifarray import storage
from cifarray.config import TrainConfig
from cifarray.engine import checkpoint_writer, cluster, group, liveness, pool, trial, worker, worker_group
from cifarray.engine.capacity import Cluster, Node
from cifarray.engine.driver import StudyDriver
from cifarray.engine.orders import GroupSettings, NodeRequirements, Order
from cifarray.engine.pool import Pool
from cifarray.engine.tune_adapters import Relay, SchedulerAdapter, SearcherAdapter
from cifarray.engine.waiting import HowFar
from cifarray.engine.worker_group import WorkerGroup
from cifarray.errors import PausedError
from cifarray.models import ModelSize
from cifarray.space.domains import log_uniform
from cifarray.space.space import SearchSpace
from cifarray.study.events import CheckpointLost, EpochEnded, TrialEnded, WorkersRestarted
from cifarray.study.faults import MAX_DEATHS, Fault
from cifarray.study.schedulers import RunAll
from cifarray.study.state import StudyState
from cifarray.study.trial_record import Decision, Outcome

LOSSES = set(Fault) - {Fault.DIVERGED, Fault.OUT_OF_MEMORY, Fault.RAISED, Fault.CHECKPOINT}
Step = tuple[str, Callable[[], object]]


class YieldingLock(asyncio.Lock):
    """Whoever wants it lets others go first, so that nothing is taken for granted between two turns with it."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    async def acquire(self) -> bool:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)
        return await super().acquire()


class SimulatedStudy:
    """A study of `trials` trials on `groups` groups of so many `workers`."""

    def __init__(
        self,
        groups=1,
        workers=1,
        trials=1,
        epochs=2,
        checkpoint_every=1,
        checkpoint_minutes=0,
        auto_micro_batch=False,
        scheduler=None,
        seed=0,
    ) -> None:
        self.workers, self.chance = workers, random.Random(seed)
        self.loop = VirtualLoop()
        self.network = Network(self.loop)
        self.runs: dict[str, TrainRun] = {}
        self.trials: dict[str, Process] = {}
        """Tune's actors, by Tune's name of the trial."""
        self.events: list = []
        self.checkpoints: dict[str, dict] = {}
        self.destroyed: set[str] = set()
        """Addresses of checkpoints that a test has made away with."""
        self.injected: set[tuple[int, Outcome]] = set()
        """Which trials have a reason of their own to end so."""
        self.deaths: Counter[int] = Counter()
        """By trial, how often workers died that were ready for orders, as far as its group's host has heard."""
        self.deaths_at: dict[tuple[float, int], int] = {}
        """The same when a checkpoint was written: by learning rate and epoch."""
        self.forgiven: Counter[int] = Counter()
        """By trial, deaths before its newest checkpoint in the journal."""
        self.gone_nodes = False
        self.paused = ""
        self._asked = 0
        self.patch = pytest.MonkeyPatch()
        self._replace_ray()
        config = TrainConfig(
            epochs=epochs,
            batch_size=12,
            checkpoint_every=checkpoint_every,
            checkpoint_minutes=checkpoint_minutes,
            auto_micro_batch=auto_micro_batch,
        )
        space = SearchSpace("simulated", config, {"optimizer.lr": log_uniform(0.001, 1.0)})
        self.state = StudyState(space, trials, "random", scheduler or RunAll())
        settings = GroupSettings(workers, 1.0, 0.0, "", NodeRequirements({}, ""), PATIENCE)
        cluster_of = Cluster((Node(groups * workers),))
        self.pool = Pool("study", settings, self.append, groups, lambda: cluster_of, self._host())
        self.driver = StudyDriver(self.state, self, self.pool, "/study", lambda config: ModelSize(1, 1), self._delete)
        relay = Relay(self.driver)
        self.relay, self.searcher, self.scheduler = relay, SearcherAdapter(relay), SchedulerAdapter(relay)

    # What stands in for Ray, Train, storage and training.

    def _replace_ray(self) -> None:
        def context():
            rank = Process.current()
            return SimpleNamespace(get_world_rank=lambda: rank.rank, get_world_size=lambda: self.workers)

        def broadcast(tensor, src):
            tensor.fill_(Process.current().meet(("begin",), int(tensor.item()))[src])

        device = SimpleNamespace(get_device=lambda: torch.device("cpu"))
        self.network.train = SimpleNamespace(get_context=context, torch=device)
        self.network.util = SimpleNamespace(get_node_ip_address=lambda: "10.0.0.1")
        for module in (worker, trial, pool, group, worker_group):
            self.patch.setattr(module, "ray", self.network)
        for module in (worker, pool, group, liveness, worker_group):
            self.patch.setattr(module, "time", SimpleNamespace(monotonic=self.loop.time))
        self.patch.setattr(worker_group, "LOOK_SECONDS", 50.0)
        self.patch.setattr(torch.distributed, "broadcast", broadcast)
        self.patch.setattr(torch, "set_num_threads", lambda count: None)
        self.patch.setattr(worker, "missing", lambda requirements, patience: Process.current().stand("node", "look"))
        self.patch.setattr(worker, "Training", SimulatedTraining)
        self.patch.setattr(checkpoint_writer, "in_background", lambda work: Process.current().in_background(work))
        self.patch.setattr(worker, "save_checkpoint", self._save)
        self.patch.setattr(worker, "load_checkpoint", self._load)
        self.patch.setattr(storage, "patiently", lambda address, action: action())
        self.patch.setattr(storage, "exists", lambda address: address == "/marker" or address in self.checkpoints)
        self.patch.setattr(cluster, "living_nodes", lambda: frozenset({NODE}))
        self.patch.setattr(cluster, "remove_orphaned_placement_groups", lambda: None)
        self.patch.setattr(cluster, "free_places", lambda seconds: None)
        self.patch.setattr(cluster, "starts", HowFar)
        self.patch.setattr(cluster, "names", lambda nodes: ())
        self.patch.setattr(cluster, "cancel_request", lambda requester_id: None)
        self.patch.setattr(cluster, "any_node_gone", lambda nodes: self.gone_nodes)
        self.patch.setattr(cluster, "any_dead", self._any_dead)

    def _host(self) -> type[WorkerGroup]:
        study = self

        class Host(WorkerGroup):
            def __init__(self, settings: GroupSettings) -> None:
                super().__init__(settings)
                self.changed = asyncio.Condition(YieldingLock(study.chance))

            async def open(self) -> None:
                name = next(name for name, actor in study.network.actors.items() if actor.instance is self)
                study.runs[name] = TrainRun(study, name)
                self.requester_id = name
                self._watching = asyncio.ensure_future(self._watch())

            async def begin(self) -> int:
                run = study.runs[self.requester_id]
                if run.were_ready and study.lease_of(run.name) is not None:
                    study.deaths[study.trial_in(run.name)] += 1
                run.were_ready = False
                generation = await super().begin()
                orders = self.sequence.orders
                if orders and orders[0].lease == study.lease_of(run.name):
                    study.check_goes_on(orders[0])
                return generation

        kill = self.network.kill

        def kill_host(actor) -> None:
            if actor.instance.ended:
                left = [call for call in self.network.delivered if call.actor is actor and not call.task.done()]
                assert not left, f"after the end of the Train run these wait for ever: {left}"
            kill(actor)
            actor.instance.ended = True
            self.network.under_way = [call for call in self.network.under_way if call.actor is not actor]
            if actor.name in self.runs:
                self.runs[actor.name].kill()

        self.network.kill = kill_host
        return Host

    def _any_dead(self, actors) -> bool:
        living = {rank.name for run in self.runs.values() for rank in run.ranks if not rank.ended}
        return any(actor not in living for actor in actors)

    def _save(self, address, state) -> None:
        thread = Process.current()
        thread.stand("work", "save")
        self.checkpoints[address] = state
        self.destroyed.discard(address)
        self.deaths_at[state["lr"], state["epoch"]] = self.deaths[thread.order.trial]

    def _load(self, address) -> dict:
        rank = Process.current()
        if address not in self.checkpoints:
            if address not in self.destroyed and rank.order.lease == self.lease_of(rank.run.name):
                raise WrongError(f"{rank} is to go on from {address}, which was deleted")
            raise storage.StorageError(address)
        return {**self.checkpoints[address], "study": "id"}

    def _delete(self, address) -> None:
        self.checkpoints.pop(address, None)

    # The journal.

    def append(self, events):
        stamped = []
        for event in events:
            self._check_event(event)
            stamped.append(replace(event, time=self.loop.now))
            self.events.append(stamped[-1])
        return stamped

    def when_kept(self, action) -> None:
        action()

    def _check_event(self, event) -> None:
        if not hasattr(event, "trial"):
            return
        number = event.trial
        before = [earlier for earlier in self.events if getattr(earlier, "trial", None) == number]
        match event:
            case EpochEnded():
                config = self.state.trials[number].config
                done = [earlier.epoch for earlier in before if isinstance(earlier, EpochEnded)]
                assert done == list(range(1, event.epoch)), f"epoch {event.epoch} of trial {number} after {done}"
                assert event.metrics["epoch"] == event.epoch, "an epoch is recorded from another one's answer"
                assert event.metrics["lr"] == config["optimizer"]["lr"], "recorded from another trial's answer"
                assert not any(isinstance(earlier, TrialEnded) for earlier in before), "an epoch after the end"
                stays = event.decision is Decision.CONTINUE
                assert stays or event.checkpoint, f"{event.decision} without a checkpoint"
                if event.checkpoint:
                    stored = self.checkpoints.keys() | self.destroyed
                    assert event.checkpoint in stored, f"{event.checkpoint} is named before it is stored"
                    self.forgiven[number] = self.deaths_at[event.metrics["lr"], event.epoch]
            case WorkersRestarted():
                assert event.fault in LOSSES, f"workers are said to be lost since the trial {event.fault}"
                counts = [earlier.restarts for earlier in before if isinstance(earlier, WorkersRestarted)]
                assert all(count < event.restarts for count in counts), f"restarts {counts}, then {event.restarts}"
            case CheckpointLost():
                assert event.checkpoint in self.destroyed, f"{event.checkpoint} is said to be lost"
            case TrialEnded(outcome=outcome) if outcome not in (Outcome.COMPLETED, Outcome.STOPPED):
                deaths = self.deaths[number] - self.forgiven[number]
                died = outcome is Outcome.FAILED and deaths >= MAX_DEATHS and "died" in event.message
                assert died or (number, outcome) in self.injected, (
                    f"trial {number} ended as {outcome} ({event.message}) after {deaths} deaths"
                )

    def check_goes_on(self, order: Order) -> None:
        """New workers lose no epoch that has a checkpoint in the journal."""
        epoch, address = self.state.trials[order.trial].checkpoint or (0, "")
        assert epoch == 0 or (order.checkpoint or "") >= address, f"on from {order.checkpoint}, not from {address}"

    # Who is where.

    def lease_of(self, group: str) -> int | None:
        """The driver's."""
        return next((start.lease for start in self.driver.running.values() if start.group == group), None)

    def trial_in(self, group: str) -> int:
        return next(number for number, start in self.driver.running.items() if start.group == group)

    @property
    def living(self) -> list[Rank]:
        return [rank for run in self.runs.values() if not run.over for rank in run.ranks if not rank.ended]

    @property
    def threads(self) -> list[Thread]:
        """Of the workers; one that has raised an error may have one for a while."""
        threads = [rank.thread for run in self.runs.values() if not run.over for rank in run.ranks]
        return [thread for thread in threads if thread is not None and not thread.ended]

    # Tune's loop.

    def ask(self) -> bool:
        """Tune asks for one more trial; whether something came of it."""
        self._asked += 1
        name = f"tune-{self._asked}"
        events = len(self.events)
        try:
            config = self.searcher.suggest(name)
        except PausedError as error:
            self.paused = str(error)
            return True
        except NothingReadyError:
            return len(self.events) > events
        if isinstance(config, dict):
            self.trials[name] = Process(
                f"trial {config.get('trial', 'of nothing')} ({name})", lambda: _steps_of_a_trial(config)
            )
        return isinstance(config, dict) or len(self.events) > events

    def _take_result(self, name: str) -> None:
        result = self.trials[name].halt.what
        if not result["done"] and self.scheduler.on_trial_result(None, None, result) == self.scheduler.CONTINUE:
            self.relay.raise_error()
            self.trials[name].go_on()
        else:
            self.trials.pop(name).kill()
            self.searcher.on_trial_complete(name, result)
        self.relay.raise_error()

    def lose_trial(self, name: str) -> None:
        """Its actor is killed, and Tune sees it."""
        self.trials.pop(name).kill()
        self.searcher.on_trial_complete(name, error=True)
        self.relay.raise_error()

    # What can happen next.

    def calls(self) -> list[Call]:
        """Those that may arrive now: the driver's reach an actor in the order in which it sent them."""
        first: dict[str, Call] = {}
        for call in self.network.under_way:
            if call.sender is None and not call.again:
                first.setdefault(call.actor.name, call)
        return [c for c in self.network.under_way if c.sender is not None or c.again or first[c.actor.name] is c]

    def steps(self) -> list[Step]:
        """Where nothing breaks; messages of the dead may also be lost."""
        network, loop = self.network, self.loop
        steps = [
            (str(call), lambda call=call: (network.deliver(call), loop.settle()))
            for call in self.calls()
            if not call.is_of_the_dead
        ]
        steps += [("a thread of a host", lambda: (loop.finish_job(0), loop.settle()))] if loop.jobs else []
        for run in self.runs.values():
            for one in (*([] if run.over else run.ranks), run):
                step = one.step()
                steps += [(str(one) if one is not run else f"Train of {run.name}", step)] if step else []
        steps += [(str(thread), step) for thread in self.threads if (step := thread.step())]
        for name, process in self.trials.items():
            halt = process.halt
            if halt.kind == "result":
                steps.append((str(process), lambda name=name: self._take_result(name)))
            elif halt.kind == "begin":
                steps.append((str(process), process.go_on))
            elif halt.what.done:
                steps.append((str(process), lambda p=process, call=halt.what: p.go_on(*call.outcome())))
        return steps

    def round(self, but_for: str = "nobody") -> bool:
        """Everybody gets on by one step, if they can still make it when it is their turn; whether anybody could."""
        self.loop.settle()
        any_step = False
        for label, _ in self.steps():
            step = dict(self.steps()).get(label)
            if step is not None and but_for not in label:
                step()
                any_step = True
        return any_step

    @property
    def is_over(self) -> bool:
        return bool(self.paused) or (self.state.is_over() and not self.driver.running)

    def finish(self) -> None:
        """Nothing breaks any more: the study comes to an end, and waits for no clock unless somebody hangs."""
        waits = 0
        for _ in range(3000):
            if self.is_over:
                break
            if self.round() | self.ask():
                waits = 0
                continue
            assert self._somebody_hangs(), f"nobody can get on: {self.describe()}"
            assert waits < 3, f"nobody is missed: {self.describe()}"
            waits += 1
            self.loop.advance(1000.0)
        assert self.is_over, f"it takes for ever: {self.describe()}"
        self._close()

    def _somebody_hangs(self) -> bool:
        return any(each.hung or each.halt.kind == "peers" for each in (*self.living, *self.threads))

    def _close(self) -> None:
        """As a run ends: idle groups go home in order."""

        def meanwhile(calls, num_returns=1, timeout=0.0):
            while timeout > 0 and self.round():
                pass
            return [call for call in calls if call.done], [call for call in calls if not call.done]

        self.network.wait = meanwhile
        for process in self.trials.values():
            process.kill()
        self.trials.clear()
        self.pool.close()
        rebuilt = StudyState(self.state.space, self.state.num_trials, "random", self.state.scheduler)
        rebuilt.replay(self.events)
        assert rebuilt.trials == self.state.trials, "the journal tells another story than the state"

    def describe(self) -> str:
        where = [*self.living, *self.threads, *self.trials.values(), *self.network.under_way]
        return "; ".join(map(str, where))

    def end(self) -> None:
        """Whatever state it is in, no thread stays."""
        for process in self.trials.values():
            process.kill()
        for run in self.runs.values():
            run.kill()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.settle()
        self.loop.close()
        self.patch.undo()


def _steps_of_a_trial(config) -> None:
    """What Tune's actor does."""
    actor = object.__new__(trial.Trial)
    actor.config = config
    actor.setup(config)
    while True:
        Process.current().stand("result", actor.step())
