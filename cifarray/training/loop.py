"""One trial inside one DDP worker: epochs of batch, forward, loss, backward, step, then the evaluation.

Every rank makes a `Training` and calls `run_epoch` in step with the others; with a world size of 1 no process group is
needed. Not here: when to save or stop, which is the caller's.
"""

import gc
import math
import time
import warnings
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cifarray.config import TrainConfig
from cifarray.data import epoch_order, open_store, split_indices
from cifarray.models import build, seed_shared_draws
from cifarray.training.batches import check_batch, count_steps, rank_rows
from cifarray.training.classifier import Classifier
from cifarray.training.determinism import hashed_seed, seed_torch, set_determinism
from cifarray.training.evaluate import evaluate
from cifarray.training.memory import peak_bytes, reset_peak
from cifarray.training.optimizer import build_optimizer
from cifarray.training.precision import autocast, resolve
from cifarray.training.schedule import build_schedule
from cifarray.training.task import GridLabels, SingleLabel, Task

_STEPS_BETWEEN_CHECKS = 50
"""Looking whether the loss is finite waits for the device and for the other ranks."""

_MOST_BYTES_ON_GPU = 2 * 10**9
"""Images up to this size are kept on the GPU, where a batch is gathered in no time."""


class Diverged(RuntimeError):  # noqa: N818 - the name of the outcome
    """The loss is not finite any more. Raised by all ranks in the same step."""


class Training:
    """`epoch` epochs are done; `step` of the next one has begun (from 0).

    `in_backward` is true from just before backward until the optimizer has stepped: an exception then may have left
    other ranks waiting in an all-reduce.
    """

    def __init__(
        self,
        config: TrainConfig,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
        checkpoint: dict[str, Any] | None = None,
    ) -> None:
        """`checkpoint` is what `state` gave after some epoch: training goes on there as if never interrupted.

        Raises ValueError for a config that cannot be trained, DataError for data that cannot be had.
        """
        check_batch(config.batch_size, world_size)
        set_determinism(config.deterministic)
        reset_peak(device)
        self.config, self.device, self.rank, self.world_size = config, device, rank, world_size
        self.epoch = 0
        self.step = 0
        self.in_backward = False
        self.metrics: dict[str, float] = {}

        store = open_store(config.data.source, "train", config.data.image_size)
        self.train_rows, self.val_rows = split_indices(store.labels, config.data.validation, config.data.limit)
        self.steps_per_epoch = count_steps(len(self.train_rows), config.batch_size)
        fits_on_gpu = device.type == "cuda" and store.images.nbytes <= _MOST_BYTES_ON_GPU
        self.images = store.images.to(device) if fits_on_gpu else store.images
        self.labels = store.labels.to(self.images.device)
        self.task: Task
        if config.data.grid == 2:
            self.task = GridLabels(config, store, self.images, self.labels, device, self.train_rows)
        else:
            self.task = SingleLabel(config, store, self.images, self.labels, device)
        self.data = {"classes": list(store.classes), "mean": list(store.mean), "std": list(store.std)}
        self.data["image_size"] = config.data.input_size

        seed_torch("weights", config.seed)
        self.network = build(config.model.name, len(store.classes), **config.model.options).to(device)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.optimizer = build_optimizer(self.network.parameters(), config.optimizer)
        self.schedule = build_schedule(self.optimizer, config.schedule, config.epochs * self.steps_per_epoch)
        self.scaler = torch.amp.GradScaler(device.type, enabled=resolve(config.precision, device) == "fp16")
        if checkpoint is not None:
            self._restore(checkpoint)
        self.module = self._wrapped()
        if world_size > 2:
            self._settle_reduction()
        # Evaluated without compilation: its shapes would be compiled for a few batches an epoch.
        self.classifier = Classifier(self.network, config, self.data)

    def run_epoch(self) -> dict[str, float]:
        """Trains one epoch and evaluates. Collective; every rank gets the same metrics.

        epoch (from 1), train_loss (with label smoothing), train_accuracy (on augmented images, while training;
        on grids per label),
        val_loss, val_accuracy (on grids `val_` and the metrics of `evaluate`; none if nothing is held out), lr (of the
        last step), images_per_second (of all ranks, training alone; a grid counts as one), epoch_seconds,
        peak_memory_bytes (of the largest rank). Accuracies are in 0..1.
        Raises Diverged if the loss is not finite.
        """
        config, epoch = self.config, self.epoch + 1
        began = time.perf_counter()
        seed_torch("dropout", config.seed, epoch, self.rank)
        seed_shared_draws(self.network, hashed_seed("shared", config.seed, epoch))
        self.network.train()
        order = epoch_order(self.train_rows, config.seed, epoch).to(self.images.device)
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)  # loss, correct
        lr = 0.0
        for step in range(self.steps_per_epoch):
            self.step = step
            rows = rank_rows(order, step, config.batch_size, self.rank, self.world_size)
            images, targets = self.task.batch(rows, epoch)
            if not config.channels_last:
                images = images.contiguous()
            with autocast(config.precision, self.device):
                logits = self.module(images)
            loss = self.task.loss(logits.float(), targets)
            self.in_backward = True
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if config.clip_norm is not None:
                self.scaler.unscale_(self.optimizer)
                nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
            lr = self.optimizer.param_groups[0]["lr"]
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
            self.in_backward = False
            totals += torch.stack([loss.detach(), self.task.correct(logits.detach(), targets)])
            if (step + 1) % _STEPS_BETWEEN_CHECKS == 0:
                self._raise_unless_finite(self._reduced(totals)[0], "training loss")
        loss_sum, correct = self._reduced(totals)
        self._raise_unless_finite(loss_sum, "training loss")
        train_seconds = time.perf_counter() - began

        self._average_buffers()
        num_images = self.steps_per_epoch * config.batch_size
        metrics: dict[str, float] = {
            "epoch": epoch,
            "train_loss": loss_sum / (self.steps_per_epoch * self.world_size),
            "train_accuracy": correct / num_images,
        }
        if len(self.val_rows):
            evaluated = evaluate(self.classifier, self.images, self.labels, self.val_rows, self.rank, self.world_size)
            metrics |= {f"val_{name}": value for name, value in evaluated.items()}
            self._raise_unless_finite(metrics["val_loss"], "validation loss")
        slowest = [train_seconds, time.perf_counter() - began, peak_bytes(self.device)]
        train_seconds, epoch_seconds, peak = self._reduced(
            torch.tensor(slowest, dtype=torch.float64), dist.ReduceOp.MAX
        )
        metrics |= {
            "lr": lr,
            "images_per_second": num_images / train_seconds,
            "epoch_seconds": epoch_seconds,
            "peak_memory_bytes": int(peak),
        }
        self.epoch, self.metrics = epoch, metrics
        return metrics

    def state(self) -> dict[str, Any]:
        """The checkpoint: copies on the CPU, of plain types alone. The same on every rank after an epoch."""
        state = {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": self.epoch,
            "config": self.config.to_dict(),
            "metrics": self.metrics,
            "data": self.data,
        }
        return _copied_to_cpu(state)

    def close(self) -> None:
        """Lets go of all that this trial held, so that the next one finds the process as if fresh. Not collective.

        A collection of garbage takes 0.3 s; only compiled code needs one, the rest is free with its last reference.
        """
        compiled = self.config.compile
        vars(self).clear()
        if compiled:
            torch._dynamo.reset()
            gc.collect()

    def _restore(self, checkpoint: dict[str, Any]) -> None:
        # Optimizers take over the tensors that they load and change them in place: the caller's stay as they are.
        checkpoint = _copied_to_cpu(checkpoint)
        self.network.load_state_dict(checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.schedule.load_state_dict(checkpoint["scheduler"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        self.epoch = checkpoint["epoch"]
        self.metrics = dict(checkpoint["metrics"])

    def _wrapped(self) -> nn.Module:
        module: nn.Module = self.network
        if self.config.compile:
            module = cast(nn.Module, torch.compile(module))
        if self.world_size > 1:
            with warnings.catch_warnings():
                # `broadcast_buffers` is named otherwise from torch 2.14 on; both names would be needed.
                warnings.simplefilter("ignore", FutureWarning)
                module = DistributedDataParallel(
                    module,
                    device_ids=[self.device] if self.device.type == "cuda" else None,
                    broadcast_buffers=False,
                    gradient_as_bucket_view=True,
                )
        return module

    def _settle_reduction(self) -> None:
        """One backward on empty images, after which DDP groups the gradients anew, in the order they came in.

        Where three ranks or more add up, the grouping decides who is added first, and so the last bit: without this, a
        resumed run would have its first batch grouped otherwise than the undisturbed one.
        """
        before = [buffer.clone() for buffer in self.network.buffers()]
        share, side = self.config.batch_size // self.world_size, self.config.data.input_size
        with autocast(self.config.precision, self.device):
            logits = self.module(torch.zeros(share, 3, side, side, device=self.device))
        logits.sum().backward()
        self.optimizer.zero_grad()
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def _reduced(self, values: Tensor, operation: Any = dist.ReduceOp.SUM) -> list[float]:
        """`values` over all ranks, as numbers; waits for the device."""
        if self.world_size > 1:
            values = values.to(self.device, copy=True)
            dist.all_reduce(values, operation)
        return values.tolist()

    def _raise_unless_finite(self, reduced: float, name: str) -> None:
        """`reduced` is the same on all ranks, and so is the decision."""
        if not math.isfinite(reduced):
            raise Diverged(
                f"the {name} is {reduced} in epoch {self.epoch + 1}, step {self.step + 1}: lower optimizer.lr"
            )

    def _average_buffers(self) -> None:
        """The mean of the ranks' running statistics on all of them: each has seen its own part of the batches."""
        buffers = [buffer for buffer in self.network.buffers() if buffer.is_floating_point()]
        if self.world_size == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten() for buffer in buffers])
        dist.all_reduce(flat)
        flat /= self.world_size
        for buffer, mean in zip(buffers, torch.split(flat, [buffer.numel() for buffer in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))


def _copied_to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied_to_cpu(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied_to_cpu(item) for item in value)
    return value
