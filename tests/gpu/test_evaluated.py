"""On the device: a trained network answers from its checkpoint as it did in its training's last evaluation."""

from pathlib import Path

import pytest
import torch
from tiny import tiny

from cifarray.config import TrainConfig
from cifarray.data import open_store, split_indices
from cifarray.training.checkpoint import save_checkpoint
from cifarray.training.classifier import as_trained, load_classifier
from cifarray.training.evaluate import evaluate
from cifarray.training.loop import Training


def train_and_load(config: TrainConfig, device: torch.device, address: str) -> tuple[dict[str, float], torch.nn.Module]:
    training = Training(config, device)
    metrics = training.run_epoch()
    save_checkpoint(address, training.state())
    training.close()
    # Of another process nothing would be left but the checkpoint.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    torch.use_deterministic_algorithms(False)
    return metrics, load_classifier(address)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "tf32"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_what_is_computed_anew_is_what_the_study_has(
    precision: str, channels_last: bool, device: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if precision == "tf32" and device.type != "cuda":
        pytest.skip("tf32 is of GPUs")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device.type == "cuda")
    config = tiny(precision=precision, channels_last=channels_last, ema_decay=0.9, data__validation=0.5)
    metrics, classifier = train_and_load(config, device, str(tmp_path / "epoch.pt"))
    store = open_store(config.data.source, "train", config.data.image_size)
    rows = split_indices(store.labels, config.data.validation, None)[1]
    with as_trained(classifier) as computed:
        found = evaluate(classifier, store.images, store.labels, rows)
    assert {f"val_{name}": value for name, value in found.items()} == {
        name: value for name, value in metrics.items() if name.startswith("val_")
    }
    assert computed.startswith(f"{precision} on ")
    assert torch.are_deterministic_algorithms_enabled()
    assert next(classifier.parameters()).device.type == device.type
