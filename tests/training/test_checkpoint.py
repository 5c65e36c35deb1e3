"""Checkpoints on disk, and the classifier that comes back from one."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny import CPU, TINY, assert_same_weights, tiny, train
from trainings import assert_same

import cifarray
from cifarray.data import open_store
from cifarray.storage import StorageError
from cifarray.training.checkpoint import load_checkpoint, save_checkpoint
from cifarray.training.evaluate import evaluate_split
from cifarray.training.loop import Training


@pytest.fixture(scope="module")
def state(cifarray_home: Path) -> dict[str, Any]:
    return train(tiny(model__dropout=0.3))[-1]


@pytest.fixture
def address(state: dict[str, Any], tmp_path: Path) -> str:
    address = str(tmp_path / "study" / "epoch-0002.pt")
    save_checkpoint(address, state)
    return address


def test_what_is_loaded_is_what_was_saved(state: dict[str, Any], address: str) -> None:
    loaded = load_checkpoint(address)
    assert_same_weights(loaded, state)
    assert {name: loaded[name] for name in ("epoch", "config", "metrics", "data")} == {
        name: state[name] for name in ("epoch", "config", "metrics", "data")
    }


def test_a_snapshot_is_the_state_and_stays_what_it_was_while_training_goes_on() -> None:
    training = Training(tiny(ema_decay=0.9), CPU)
    training.run_epoch()
    state, snapshot = training.state(), training.snapshot()
    training.run_epoch()
    assert_same(snapshot, state)
    training.close()


def test_a_loaded_network_classifies_as_the_trained_one_did(state: dict[str, Any], address: str) -> None:
    classifier = cifarray.load(address)
    assert classifier.config == tiny(model__dropout=0.3)
    assert classifier.metrics == state["metrics"]
    assert not classifier.training
    training = Training(classifier.config, CPU, checkpoint=state)
    images = open_store(TINY.data.source, "test", TINY.data.image_size).images[:8]
    with torch.inference_mode():
        assert classifier(images).equal(training.classifier.eval()(images))
        indices = classifier(images).argmax(1).tolist()
    assert classifier.classify(images) == [classifier.classes[index] for index in indices]


def test_the_logits_do_not_depend_on_the_other_images_of_a_batch(address: str) -> None:
    classifier = cifarray.load(address)
    classifier.config = tiny(precision="fp32")
    images = open_store(TINY.data.source, "test", TINY.data.image_size).images[:4]
    with torch.inference_mode():
        torch.testing.assert_close(classifier(images)[:1], classifier(images[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 16, 16, 3),
        torch.zeros(2, 3, 16, 16, dtype=torch.uint8),
        torch.zeros(2, 32, 32, 3, dtype=torch.uint8),
        torch.zeros(16, 16, 3, dtype=torch.uint8),
    ],
)
def test_images_of_another_type_or_shape_are_refused(images: torch.Tensor, address: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be classified: give \(N, 16, 16, 3\) of torch.uint8"):
        cifarray.load(address)(images)


def test_what_is_no_tensor_is_sent_to_the_methods_that_take_it(address: str) -> None:
    with pytest.raises(TypeError, match=r"str is no tensor of images: call the network's classify or probabilities"):
        cifarray.load(address)("cat.png")


def test_a_split_is_evaluated_on_all_its_images(address: str) -> None:
    classifier = cifarray.load(address)
    store = open_store(TINY.data.source, "test", TINY.data.image_size)
    names = classifier.classify(store.images)
    right = sum(name == store.classes[label] for name, label in zip(names, store.labels.tolist(), strict=True))
    result = evaluate_split(classifier, TINY.data.source, "test")
    assert result.keys() == {"loss", "accuracy"}
    assert result["accuracy"] == pytest.approx(right / 60)


def test_data_of_other_classes_is_refused(address: str) -> None:
    classifier = cifarray.load(address)
    classifier.classes = classifier.classes[:9]
    with pytest.raises(ValueError, match=r"has the classes .* \(10\), the network .* \(9\)"):
        evaluate_split(classifier, TINY.data.source, "test")


def test_a_file_that_is_cut_off_or_something_else_is_refused(address: str, tmp_path: Path) -> None:
    whole = Path(address).read_bytes()
    other = tmp_path / "other.pt"
    torch.save({"weights": torch.zeros(2)}, other)
    Path(address).write_bytes(whole[: len(whole) // 2])
    for path in (address, str(other)):
        with pytest.raises(ValueError, match="is not a whole checkpoint of cifarray"):
            cifarray.load(path)


@pytest.mark.parametrize("data", [b"", b"M", b"J", b"r", b"text\n", b"PK\x03\x04"], ids=repr)
def test_any_other_file_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file.pt"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"is not a whole checkpoint of cifarray \(its {len(data)} bytes are cut off"):
        load_checkpoint(str(path))


def test_a_checkpoint_that_lacks_a_part_is_refused_with_its_name(state: dict[str, Any], tmp_path: Path) -> None:
    path = str(tmp_path / "epoch-0002.pt")
    save_checkpoint(path, {name: value for name, value in state.items() if name not in ("optimizer", "scaler")})
    with pytest.raises(ValueError, match=r"\(it has no optimizer, scaler\): give the .pt file of an epoch"):
        load_checkpoint(path)


def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nothing\.pt cannot be read"):
        cifarray.load(str(tmp_path / "nothing.pt"))


def test_probabilities_are_the_softmax_of_the_logits_with_the_likeliest_class_first(address: str) -> None:
    classifier = cifarray.load(address)
    images = open_store(TINY.data.source, "test", TINY.data.image_size).images[:5]
    with torch.inference_mode():
        expected = classifier(images).softmax(1)
    found = classifier.probabilities(images.numpy())
    assert [next(iter(row)) for row in found] == classifier.classify(images)
    for row, values in zip(found, expected, strict=True):
        assert sum(row.values()) == pytest.approx(1)
        assert list(row.values()) == sorted(row.values(), reverse=True)
        assert [row[name] for name in classifier.classes] == pytest.approx(values.tolist())
    best = classifier.probabilities(images, top=3)
    assert [list(row.items()) for row in best] == [list(row.items())[:3] for row in found]
    assert len(classifier.probabilities(images[0], top=99)[0]) == 10
    with pytest.raises(ValueError, match="top 0 is too few classes"):
        classifier.probabilities(images, top=0)


def test_answers_do_not_depend_on_how_many_images_are_asked_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = cifarray.load(address)
    images = open_store(TINY.data.source, "test", TINY.data.image_size).images[:7]
    expected = classifier.classify(images)
    seen = []
    classifier.register_forward_hook(lambda module, inputs, logits: seen.append(len(logits)))
    monkeypatch.setattr("cifarray.training.classifier.CHUNK", 3)
    assert classifier.classify(images) == expected
    assert seen == [3, 3, 1]
    assert classifier.classify([]) == classifier.probabilities([]) == []


def test_an_image_of_another_size_is_classified_with_a_warning_at_the_line_that_asked(address: str) -> None:
    classifier = cifarray.load(address)
    image = Image.fromarray(open_store(TINY.data.source, "test", TINY.data.image_size).images[0].numpy())
    larger = image.resize((48, 32))
    for ask in (classifier.classify, classifier.probabilities):
        with pytest.warns(UserWarning, match="of 48 × 32 pixels are cut .* resized to 16 × 16") as caught:
            assert len(ask(larger)) == 1
        assert caught[0].filename == __file__
