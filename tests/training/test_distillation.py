"""A teacher's part of the loss, and which teachers are refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import CPU, tiny, train

from cifarray.config import TrainConfig, override
from cifarray.engine.failures import failure_of
from cifarray.storage import StorageError
from cifarray.study.faults import Fault
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.distillation import distillation_loss, load_teacher
from cifarray.training.loop import Training


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, cifarray_home: Path) -> str:
    address = str(tmp_path_factory.mktemp("teacher") / "epoch-0002.pt")
    save_checkpoint(address, train(tiny(model__widen_factor=2, seed=7))[-1])
    return address


def taught(teacher: str, **values: Any) -> TrainConfig:
    return override(tiny(**values), {"distillation.teacher": teacher})


def test_the_loss_is_the_kl_divergence_of_the_softened_answers_times_t_squared() -> None:
    """Σ p log(p / q) written out, for T = 20 and two classes."""
    import math

    logits, teacher_logits, temperature = [1.0, 3.0], [5.0, -1.0], 20.0

    def softened(values: list[float]) -> list[float]:
        exponentials = [math.exp(value / temperature) for value in values]
        return [value / sum(exponentials) for value in exponentials]

    q, p = softened(logits), softened(teacher_logits)
    expected = temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = distillation_loss(torch.tensor([logits, logits]), torch.tensor([teacher_logits] * 2), temperature)
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_a_student_that_answers_as_the_teacher_has_no_distance_and_no_gradient() -> None:
    logits = torch.randn(6, 10, requires_grad=True)
    loss = distillation_loss(logits, logits.detach(), 4.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-5


def test_at_a_high_temperature_the_gradient_is_that_of_matched_logits() -> None:
    """∂/∂z → (z − v) / (N · B) for logits of zero mean (arXiv:1503.02531, §2.1, equation 4; T² keeps its size)."""
    student = torch.randn(5, 8, dtype=torch.float64)
    other = torch.randn(5, 8, dtype=torch.float64)
    student, other = student - student.mean(1, keepdim=True), other - other.mean(1, keepdim=True)
    student.requires_grad_()
    distillation_loss(student, other, 1000.0).backward()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, (student.detach() - other) / (8 * 5), rtol=1e-2, atol=1e-3)


def test_the_first_steps_loss_is_that_of_labels_plus_the_weighted_distance(teacher: str) -> None:
    config = taught(teacher, precision="fp32", distillation__weight=0.5, distillation__temperature=3.0)
    training = Training(config, CPU)
    rows = training.train_rows[:32]
    images, targets = training.task.batch(rows, slice(0, 32), epoch=1)
    logits = torch.randn(32, 10)
    plain = Training(tiny(precision="fp32"), CPU).task
    own = plain.loss(logits, plain.batch(rows, slice(0, 32), epoch=1)[1])
    with torch.no_grad():
        answers = load_teacher(teacher, CPU).network(images)
    expected = own + 0.5 * distillation_loss(logits, answers, 3.0)
    torch.testing.assert_close(training.task.loss(logits, targets), expected)


def test_the_teacher_stays_as_it_was_and_its_cost_is_told(teacher: str) -> None:
    training = Training(taught(teacher), CPU)
    metrics = training.run_epoch()
    assert 0 < metrics["teacher_seconds"] < metrics["epoch_seconds"]
    held = load_teacher(teacher, CPU)
    assert not held.training
    assert not any(parameter.requires_grad for parameter in held.parameters())
    weights = load_checkpoint(teacher)["model"]
    for name, value in held.network.state_dict().items():
        assert value.equal(weights[name]), name


def test_the_students_memory_of_the_teacher_is_no_part_of_its_checkpoint(teacher: str) -> None:
    (state, *_) = train(taught(teacher, epochs=1))
    assert state["model"].keys() == train(tiny(epochs=1))[0]["model"].keys()


def test_a_worker_reads_its_teacher_once(teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []

    def counted(address: str) -> dict[str, Any]:
        read.append(address)
        return load_checkpoint(address)

    monkeypatch.setattr("cifarray.training.classifier.load_checkpoint", counted)
    load_teacher.cache_clear()
    for seed in range(3):
        train(taught(teacher, seed=seed, epochs=1))
    assert read == [teacher]


def test_another_studys_network_at_the_teachers_address_is_refused(teacher: str, tmp_path: Path) -> None:
    """As where the teacher's study was set aside and a new one of its name has trained."""
    address = str(tmp_path / "trial-0000" / "epoch-0002.pt")
    config = override(taught(address), {"distillation.studies": ("own",)})
    state = load_checkpoint(teacher)
    save_checkpoint(address, {**state, "study": "own"})
    assert Training(config, CPU).task.teacher.study == "own"  # type: ignore[attr-defined]
    for other in ("new", None):
        load_teacher.cache_clear()
        save_checkpoint(address, {**state, "study": other})
        with pytest.raises(StorageError, match=f"with the id {other} wrote it, not own; bring"):
            Training(config, CPU)


def test_a_teacher_pulls_the_student_towards_its_answers(teacher: str) -> None:
    def distance(config: TrainConfig) -> float:
        training = Training(config, CPU)
        for _ in range(config.epochs):
            training.run_epoch()
        images = training.images[training.val_rows]
        with torch.no_grad():
            answers = load_teacher(teacher, CPU)(images)
            return distillation_loss(training.classifier.eval()(images), answers, 4.0).item()

    alone, with_teacher = tiny(epochs=8), taught(teacher, epochs=8, distillation__weight=5.0)
    assert distance(with_teacher) < 0.7 * distance(alone)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data__validation": 0.3}, r"was trained on \d+ of the 90 images that are held out here .* same data.valid"),
        ({"data__image_size": 8}, r"sees images of 16 × 16 pixels, the student of 8 × 8: give a teacher of the same"),
        ({"data__crop_size": 8}, r"sees images of 16 × 16 pixels, the student of 8 × 8: give a teacher of the same"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(teacher: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training(taught(teacher, **values), CPU)


def test_a_teacher_of_other_classes_is_refused(teacher: str, tmp_path: Path) -> None:
    state = load_checkpoint(teacher)
    state["data"]["classes"] = [f"class {index}" for index in range(10)]
    other = str(tmp_path / "other.pt")
    save_checkpoint(other, state)
    with pytest.raises(ValueError, match="knows 10 classes .* give a teacher that was trained on this data"):
        Training(taught(other), CPU)


def test_a_teacher_whose_storage_is_away_is_no_fault_of_the_trial() -> None:
    with pytest.raises(StorageError, match=r"distillation.teacher: .*nothing.pt cannot be read") as told:
        Training(taught("/no/where/nothing.pt"), CPU)
    assert failure_of(told.value, None).fault is Fault.STORAGE
