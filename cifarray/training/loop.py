"""One trial inside one DDP worker: epochs of batch, forward, loss, backward, step, then the evaluation.

Every rank makes a `Training` and calls `run_epoch` in step with the others; with a world size of 1 no process group is
needed. Not here: when to save or stop, which is the caller's.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cifarray.config import TrainConfig
from cifarray.data import augments_on, epoch_order, open_store, split_indices
from cifarray.models import build, drop_branches, initialise, seed_shared_draws
from cifarray.training.average import MovingAverage
from cifarray.training.batches import batch_rows, check_batch, count_steps, rank_shares
from cifarray.training.checkpoint import Snapshots, check_belongs, copied_to_cpu
from cifarray.training.classifier import Classifier
from cifarray.training.determinism import hashed_seed, seed_torch, set_determinism
from cifarray.training.distillation import Distilled, load_teacher
from cifarray.training.evaluate import evaluate
from cifarray.training.memory import peak_bytes, reset_peak
from cifarray.training.optimizer import build_optimizer, load_optimizer
from cifarray.training.parallel import average_buffers, reduced, wrapped
from cifarray.training.precision import Resolved, agreed, autocast, check_device
from cifarray.training.schedule import build_schedule
from cifarray.training.step import Batch, Step, beside, make_step
from cifarray.training.tasks.registry import make_task
from cifarray.training.tasks.task import Task

_STEPS_BETWEEN_CHECKS = 50
"""Looking whether the loss is finite waits for the device and for the other ranks."""

_MAX_BYTES_ON_GPU = 2 * 10**9
"""Images up to this size are kept on the GPU, where a batch is gathered in no time."""


class Diverged(RuntimeError):  # noqa: N818 - the name of the outcome
    """The loss is not finite any more. Raised by all ranks in the same step."""


class Training:
    """`epoch` epochs are done; while one runs, `step` is its current step (from 0).

    `precision` is the number format of all its epochs, on all ranks; `remark` what the user should know of it.

    `in_backward` is true from just before the backward pass of a batch's last micro-batch until the optimizer has
    stepped: an exception then may have left other ranks waiting in an all-reduce.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        checkpoint: dict[str, Any] | None = None,
        began_in: Resolved | None = None,
    ) -> None:
        """`checkpoint` is what `state` gave after some epoch: training goes on there as if never interrupted.

        `began_in`: the number format of epochs that are to be done again, where there is no checkpoint that tells it.

        Raises ValueError for a config that cannot be trained or a checkpoint of another one, DataError for data that
        cannot be had.
        """
        check_batch(config.batch_size, world_size, config.accumulate)
        check_device(config.precision, device)
        set_determinism(config.deterministic)
        reset_peak(device)
        self.config, self.device, self.rank, self.world_size = config, device, rank, world_size
        self.epoch = 0
        self.step = 0
        self.metrics: dict[str, float] = {}
        self.snapshots = Snapshots()

        store = open_store(config.data.source, "train", config.data.image_size)
        self.train_rows, self.val_rows = split_indices(store.labels, config.data.validation, config.data.limit)
        self.steps_per_epoch = count_steps(len(self.train_rows), config.batch_size)
        self.shares = rank_shares(config.batch_size, rank, world_size, config.accumulate)
        self.micro_batch = config.batch_size // world_size // config.accumulate
        where = augments_on(config.data, device)
        self.images = store.images.to(where) if store.images.nbytes <= _MAX_BYTES_ON_GPU else store.images
        self.labels = store.labels.to(self.images.device)
        began_in = (checkpoint["precision"] if checkpoint else None) or began_in
        self.precision, self.remark = agreed(config.precision, device, world_size, began_in)
        self.task: Task = make_task(config, store, self.images, self.labels, device, self.train_rows)
        if config.distillation.teacher is None:
            load_teacher.cache_clear()  # the memory of an earlier trial's teacher
        else:
            self.task = Distilled(self.task, config, store, device, self.precision)
        self.data = {"classes": list(store.classes), "mean": list(store.mean), "std": list(store.std)}
        self.data["image_size"] = config.data.picture_size

        seed_torch("weights", config.seed)
        self.network = self._new_network(len(store.classes))
        self.average = MovingAverage(self.network, config.ema_decay) if config.ema_decay else None
        self.optimizer = build_optimizer(self.network, config.optimizer, config.peak_lr)
        self.schedule = build_schedule(self.optimizer, config.schedule, config.epochs * self.steps_per_epoch)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.precision == "fp16")
        if checkpoint is not None:
            self._restore(checkpoint)
        self.networks = [self.network] if self.average is None else [self.network, self.average.network]
        compiled = cast(nn.Module, torch.compile(self.network)) if config.compile else self.network
        self.module = wrapped(compiled, device, world_size)
        if world_size > 2:
            self._settle_reduction()
        self.plain_step = Step(
            self.module,
            self.task,
            self._batches,
            self.optimizer,
            self.scaler,
            self.precision,
            device,
            num_micro_batches=len(self.shares),
            clip_norm=config.clip_norm,
        )
        self.take_step = make_step(self.plain_step, config.cuda_graph, self.network, world_size)
        # Evaluated without compilation: its shapes would be compiled for a few batches an epoch.
        self.classifier = Classifier(self.networks[-1], config, self.data, precision=self.precision)

    def run_epoch(self, on_step: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Trains one epoch and evaluates. Collective; every rank gets the same metrics.

        on_step: called after every step, and every part of the evaluation.

        Returns, with accuracies in 0..1:
        epoch: from 1.
        train_loss: with all that is added to it.
        train_accuracy: on augmented images, while training; on grids per label, on mixed images of the larger part's.
        val_loss, val_accuracy: of the averaged weights, if they are averaged; none if nothing is held out. On grids
        `val_` and the names of their metrics.
        lr: of the last step.
        images_per_second: of all ranks, training alone; a grid counts as one.
        epoch_seconds, peak_memory_bytes: the latter of the largest rank.
        teacher_seconds: of the slowest rank, where there is a teacher.

        Raises Diverged if the loss is not finite.
        """
        with beside(self.take_step.stream):
            return self._run_epoch(on_step)

    def _run_epoch(self, on_step: Callable[[], None]) -> dict[str, float]:
        config, epoch = self.config, self.epoch + 1
        began = time.perf_counter()
        seed_torch("dropout", config.seed, epoch, self.rank)
        seed_shared_draws(self.network, hashed_seed("shared", config.seed, epoch))
        self.network.train()
        order = epoch_order(self.train_rows, config.seed, epoch).to(self.images.device)
        self.task.begin_epoch(epoch)
        totals = self.plain_step.totals.zero_()
        lr = 0.0
        for step in range(self.steps_per_epoch):
            self.step = step
            lr = self.optimizer.param_groups[0]["lr"]
            self.take_step(batch_rows(order, step, config.batch_size), epoch)
            self.schedule.step()
            on_step()
            if self.average is not None:
                self.average.update()
            if (step + 1) % _STEPS_BETWEEN_CHECKS == 0:
                self._raise_unless_finite(self._reduced(totals)[0], "training loss")
                self.take_step.settle()
        loss_sum, correct = self._reduced(totals)
        self._raise_unless_finite(loss_sum, "training loss")
        self.take_step.settle()
        train_seconds = time.perf_counter() - began

        average_buffers(self.networks, self.world_size)
        num_images = self.steps_per_epoch * config.batch_size
        metrics: dict[str, float] = {
            "epoch": epoch,
            "train_loss": loss_sum / (self.steps_per_epoch * self.world_size),
            "train_accuracy": correct / num_images,
        }
        if len(self.val_rows):
            try:
                evaluated = self._evaluate(on_step)
            except torch.OutOfMemoryError:
                # A graph keeps memory that an evaluation needs once an epoch.
                if not self.take_step.let_go():
                    raise
                evaluated = self._evaluate(on_step)
            metrics |= {f"val_{name}": value for name, value in evaluated.items()}
            self._raise_unless_finite(metrics["val_loss"], "validation loss")
        more = self.task.epoch_metrics()
        slowest = [train_seconds, time.perf_counter() - began, peak_bytes(self.device), *more.values()]
        train_seconds, epoch_seconds, peak, *slowest_more = self._reduced(
            torch.tensor(slowest, dtype=torch.float64), dist.ReduceOp.MAX
        )
        metrics |= {
            "lr": lr,
            "images_per_second": num_images / train_seconds,
            "epoch_seconds": epoch_seconds,
            "peak_memory_bytes": int(peak),
            **dict(zip(more, slowest_more, strict=True)),
        }
        self.epoch, self.metrics = epoch, metrics
        return metrics

    @property
    def in_backward(self) -> bool:
        return self.plain_step.in_backward

    def state(self) -> dict[str, Any]:
        """The checkpoint: copies on the CPU, of plain types alone. The same on every rank after an epoch."""
        state: dict[str, Any] = copied_to_cpu(self._present_state())
        return state

    def snapshot(self) -> dict[str, Any]:
        """`state`, for who is done with it before the next snapshot and before `close`: a GPU waits for it less."""
        return self.snapshots.take(self._present_state())

    def _present_state(self) -> dict[str, Any]:
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "epoch": self.epoch,
            "precision": self.precision,
            "config": self.config.to_dict(),
            "metrics": self.metrics,
            "data": self.data,
        }

    def close(self) -> None:
        """Lets go of all that this trial held, so that the next one finds the process as if fresh. Not collective.

        A garbage collection takes 0.3 s; only compiled code needs one, the rest is freed with its last reference.
        """
        compiled = self.config.compile
        vars(self).clear()
        if compiled:
            torch._dynamo.reset()
            gc.collect()

    def _new_network(self, num_classes: int) -> nn.Module:
        config = self.config
        network = build(config.model.name, num_classes, **config.model.options)
        initialise(network, config.init.weights, config.init.zero_gamma)
        if config.sync_batch_norm:
            if self.device.type != "cuda":
                raise ValueError(
                    f"sync_batch_norm works on GPUs only and this worker trains on {self.device.type}: "
                    "set sync_batch_norm to false"
                )
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        drop_branches(network, config.stochastic_depth)  # after the conversion, which drops hooks
        network.to(self.device)
        return network.to(memory_format=torch.channels_last) if config.channels_last else network

    def _evaluate(self, on_chunk: Callable[[], None]) -> dict[str, float]:
        return evaluate(
            self.classifier,
            self.images,
            self.labels,
            self.val_rows,
            self.rank,
            self.world_size,
            # Where memory is so short that batches are split, whole batches are not evaluated either.
            chunk=None if self.config.accumulate == 1 else self.micro_batch,
            on_chunk=on_chunk,
        )

    def _batches(self, rows: Tensor, epoch: int) -> Iterator[Batch]:
        """This rank's micro-batches of the global batch `rows`."""
        for share in self.shares:
            images, targets = self.task.batch(rows, share, epoch)
            yield images if self.config.channels_last else images.contiguous(), targets

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        check_belongs(checkpoint, self.config, self.data)
        # Optimizers take over the tensors that they load and change them in place: the caller's stay as they are.
        checkpoint = copied_to_cpu(checkpoint)
        self.network.load_state_dict(checkpoint["model"])
        load_optimizer(self.optimizer, checkpoint["optimizer"])
        self.schedule.load_state_dict(checkpoint["scheduler"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        if self.average is not None:
            self.average.load(checkpoint["average"])
        self.epoch = checkpoint["epoch"]
        self.metrics = dict(checkpoint["metrics"])

    def _settle_reduction(self) -> None:
        """One backward on empty images, after which DDP groups the gradients anew, in the order they came in.

        Where three ranks or more add up, the grouping decides who is added first, and so the last bit: without this, a
        resumed run would have its first batch grouped otherwise than the undisturbed one.
        """
        before = [buffer.clone() for buffer in self.network.buffers()]
        side = self.config.data.input_size
        images = torch.zeros(self.micro_batch, 3, side, side, device=self.device)
        if self.config.channels_last:
            images = images.to(memory_format=torch.channels_last)
        with autocast(self.precision, self.device):
            logits = self.module(images)
        logits.sum().backward()
        self.optimizer.zero_grad()
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def _reduced(self, values: Tensor, operation: Any = dist.ReduceOp.SUM) -> list[float]:
        return reduced(values, self.device, self.world_size, operation)

    def _raise_unless_finite(self, reduced: float, name: str) -> None:
        """`reduced` is the same on all ranks, and so is the decision."""
        if not math.isfinite(reduced):
            more = ", or set precision to bf16" if self.precision == "fp16" else ""
            raise Diverged(
                f"the {name} is {reduced} in epoch {self.epoch + 1}, step {self.step + 1}: lower optimizer.lr{more}"
            )
