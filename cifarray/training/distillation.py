"""Knowledge distillation: a trained network's answers to the same augmented images are second targets.

Hinton et al. 2015, arXiv:1503.02531, §2, with the hard labels' loss left whole as in He et al. 2019, arXiv:1812.01187,
§5.3. Not here: how a user names a teacher (`cifarray.cli`).
"""

import time
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from cifarray import storage
from cifarray.config import DistillationConfig, TrainConfig
from cifarray.data import ImageStore, split_indices
from cifarray.training.classifier import Classifier, load_classifier
from cifarray.training.precision import Resolved, autocast
from cifarray.training.tasks.kinds import kind_of
from cifarray.training.tasks.task import Targets, Task


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the mean over the batch of float32 logits (B, C).

    T² keeps the size of the gradients, which fall with 1 / T².
    """
    student = F.log_softmax(logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


class Distilled:
    """A task with a teacher: its batches carry the teacher's logits as well, its loss adds the distance to them."""

    def __init__(
        self, task: Task, config: TrainConfig, store: ImageStore, device: torch.device, precision: Resolved
    ) -> None:
        """Raises ValueError for a teacher of other classes or sizes, or one that has seen the validation images, and
        StorageError for the checkpoint of another study than the teacher's."""
        assert config.distillation.teacher is not None
        self.task, self.config, self.device, self.precision = task, config, device, precision
        self.teacher = load_teacher(config.distillation.teacher, device)
        check_study(self.teacher, config.distillation)
        check_teacher(self.teacher, config, store)
        self.to_teacher = _renormalisation(store, self.teacher, device)
        self.batches_on_device = False  # the teacher's seconds are taken by events, which cannot be recorded
        self._began: list[torch.cuda.Event] = []
        self._ended: list[torch.cuda.Event] = []
        self._seconds = 0.0

    def begin_epoch(self, epoch: int) -> None:
        self.task.begin_epoch(epoch)

    def batch(self, rows: Tensor, share: slice, epoch: int) -> tuple[Tensor, Targets]:
        images, targets = self.task.batch(rows, share, epoch)
        self._start()
        teacher_logits = self._ask(images)
        self._stop()
        return images, (targets, teacher_logits)

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        own, teacher_logits = targets
        chosen: DistillationConfig = self.config.distillation
        distance = distillation_loss(logits, teacher_logits, chosen.temperature)
        return self.task.loss(logits, own) + chosen.weight * distance

    def correct(self, logits: Tensor, targets: Targets) -> Tensor:
        return self.task.correct(logits, targets[0])

    def epoch_metrics(self) -> dict[str, float]:
        """teacher_seconds: what the teacher took of the epoch, on this rank."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            pairs = zip(self._began, self._ended, strict=True)
            self._seconds = sum(began.elapsed_time(ended) for began, ended in pairs) / 1000
        metrics = {**self.task.epoch_metrics(), "teacher_seconds": self._seconds}
        self._began, self._ended, self._seconds = [], [], 0.0
        return metrics

    @torch.no_grad()
    def _ask(self, images: Tensor) -> Tensor:
        if self.to_teacher is not None:
            scale, shift = self.to_teacher
            images = images * scale + shift
        with autocast(self.precision, self.device):
            return self.teacher.network(images).float()

    def _start(self) -> None:
        if self.device.type == "cuda":
            self._began.append(_event())
        else:
            self._seconds -= time.perf_counter()

    def _stop(self) -> None:
        if self.device.type == "cuda":
            self._ended.append(_event())
        else:
            self._seconds += time.perf_counter()


@lru_cache(maxsize=1)
def load_teacher(address: str, device: torch.device) -> Classifier:
    """In evaluation mode, without gradients. Loaded once by a worker, however many of its trials have this teacher.

    Raises ValueError if there is no whole checkpoint, StorageError if it cannot be reached: that is no fault of the
    trial that is to learn from it.
    """
    try:
        teacher = storage.patiently(address, partial(load_classifier, address))
    except storage.StorageError as error:
        raise storage.StorageError(f"distillation.teacher: {error}") from error
    return teacher.requires_grad_(False).to(device)


def check_study(teacher: Classifier, chosen: DistillationConfig) -> None:
    """Raises StorageError if another study has written to the teacher's address since the teacher was chosen."""
    if chosen.studies and teacher.study not in chosen.studies:
        raise storage.StorageError(
            f"{chosen.teacher} is no longer the teacher that was chosen: a study with the id {teacher.study} wrote it, "
            f"not {' or '.join(chosen.studies)}; bring that study's folder back to its place"
        )


def check_teacher(teacher: Classifier, config: TrainConfig, store: ImageStore) -> None:
    """Raises ValueError for a teacher of other classes or sizes, or one that has seen the validation images."""
    name, theirs = config.distillation.teacher, teacher.config.data
    if teacher.classes != store.classes:
        raise ValueError(
            f"the teacher {name} knows {len(teacher.classes)} classes ({', '.join(teacher.classes[:3])} …), the data "
            f"has {len(store.classes)} ({', '.join(store.classes[:3])} …): give a teacher that was trained on this data"
        )
    sees, student_sees = kind_of(teacher.config).sees, kind_of(config).sees
    if sees != student_sees:
        raise ValueError(f"the teacher {name} sees {sees}, the student {student_sees}: give one of {student_sees}")
    if theirs.input_size != config.data.input_size:
        raise ValueError(
            f"the teacher {name} sees images of {theirs.input_size} × {theirs.input_size} pixels, the student of "
            f"{config.data.input_size} × {config.data.input_size}: give a teacher of the same side"
        )
    # The same pixels, wherever they lie. What it has seen of other data cannot be told.
    if (teacher.mean, teacher.std) != (tuple(store.mean), tuple(store.std)):
        return
    held_out = split_indices(store.labels, config.data.validation, None)[1]
    seen = split_indices(store.labels, theirs.validation, theirs.limit)[0]
    leaked = int(torch.isin(held_out, seen).sum())
    if leaked:
        raise ValueError(
            f"the teacher {name} was trained on {leaked:,} of the {len(held_out):,} images that are held out here "
            f"(data.validation {theirs.validation:g} there, {config.data.validation:g} here): give a teacher that was "
            "trained with the same data.validation"
        )


def _renormalisation(store: ImageStore, teacher: Classifier, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Scale and shift (1, 3, 1, 1) from our normalisation to the teacher's; None where they are the same."""
    if (tuple(store.mean), tuple(store.std)) == (teacher.mean, teacher.std):
        return None
    mean, std, their_mean, their_std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1)
        for values in (store.mean, store.std, teacher.mean, teacher.std)
    )
    return std / their_std, (mean - their_mean) / their_std


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event
