"""What every training must be able to do, on any device: a tiny one of each family, one of each part of the toolbox.

Not here: any test.
"""

from typing import Any

import torch
from tiny import TINY

from cifarray.config import TrainConfig, override

FAMILIES: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear", "side": 16},
    "alexnet": {"name": "alexnet", "size": "small"},
    "resnet13": {"name": "resnet13", "blocks": [1, 1]},
    "plain_cnn": {"name": "plain_cnn", "depth": 8},
    "resnet": {"name": "resnet", "depth": 8},
    "preact_resnet": {"name": "preact_resnet", "depth": 8},
    "stochastic_depth_resnet": {"name": "stochastic_depth_resnet", "depth": 14, "death_rate": 0.9},
    "wide_resnet": {"name": "wide_resnet", "depth": 10, "widen_factor": 1, "dropout": 0.3},
    "densenet": {"name": "densenet", "depth": 7, "growth_rate": 4, "dropout": 0.2},
    "densenet memory": {
        "name": "densenet",
        "depth": 10,
        "growth_rate": 4,
        "bottleneck": True,
        "memory_efficient": True,
    },
    "pyramidnet": {"name": "pyramidnet", "depth": 8, "alpha": 4},
    "imagenet_resnet": {"name": "imagenet_resnet", "depth": 26, "base_width": 4, "tweak": "d"},
    "mobilenet": {"name": "torchvision", "arch": "mobilenet_v3_small", "resize": 32},
}


def family(name: str) -> TrainConfig:
    """A tiny training of one of FAMILIES."""
    config = TrainConfig.from_dict(TINY.to_dict() | {"model": FAMILIES[name]})
    # AlexNet's kernels and poolings need 32 pixels.
    return override(config, {"data.image_size": 32}) if name == "alexnet" else config


RESNET = {"name": "resnet", "depth": 8}
WARM = {"schedule.warmup": 0.2}

TOOLBOX: dict[str, dict[str, Any]] = {
    "constant": {"schedule.name": "constant", **WARM},
    "multistep": {"schedule.name": "multistep", **WARM},
    "step": {"schedule.name": "step", **WARM},
    "cosine": {"schedule.name": "cosine", **WARM},
    "one_cycle": {"schedule.name": "one_cycle", **WARM},
    "polynomial": {"schedule.name": "polynomial", "schedule.power": 2.0, **WARM},
    "linear_scaling": {"optimizer.linear_scaling": True},
    "sgd": {"optimizer.nesterov": False, "optimizer.decay": "weights"},
    "adam": {"optimizer.name": "adam", "optimizer.lr": 1e-3},
    "adamw": {"optimizer.name": "adamw", "optimizer.lr": 1e-3, "optimizer.decay": "weights"},
    "muon": {"optimizer.name": "muon", "optimizer.lr": 1e-3, "optimizer.decay": "weights"},
    "he_fan_in": {"init.weights": "he_fan_in"},
    "zero_gamma": {"init.weights": "he_fan_out", "init.zero_gamma": True},
    "label_smoothing": {"label_smoothing": 0.1},
    "dropout": {"model.dropout": 0.3},
    "stochastic_depth": {"stochastic_depth": 0.5},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "mixup and cutmix": {"mixup": 0.2, "cutmix": 1.0},
    "ema": {"ema_decay": 0.9},
    "clip_norm": {"clip_norm": 0.5},
    "cutout": {"data.cutout": 8},
    "colours": {"data.crop": "resized", "data.color_jitter": 0.4, "data.pca_noise": 0.1},
    "crop_size": {"data.crop_size": 12},
    "trivial_augment": {"data.policy": "trivial_augment"},
    "rand_augment": {"data.policy": "rand_augment"},
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "accumulate": {"accumulate": 4},
    "distillation": {"distillation.temperature": 4.0},
    "all at once": {
        "optimizer.name": "muon",
        "optimizer.lr": 1e-3,
        "precision": "fp16",
        "mixup": 0.2,
        "cutmix": 1.0,
        "ema_decay": 0.9,
        "clip_norm": 1.0,
        "accumulate": 2,
        "stochastic_depth": 0.2,
        "data.policy": "trivial_augment",
        **WARM,
    },
}


def with_tool(name: str, teacher: str) -> TrainConfig:
    """A tiny training of four epochs with one of TOOLBOX switched on; `teacher` is a checkpoint's address."""
    base = TrainConfig.from_dict(TINY.to_dict() | {"model": RESNET}) if name == "zero_gamma" else TINY
    taught = {"distillation.teacher": teacher} if name in ("distillation", "all at once") else {}
    return override(base, {"epochs": 4, **TOOLBOX[name], **taught})


def assert_same(first: Any, second: Any, where: str = "") -> None:
    """The whole state bit for bit, but for what is measured by the clock."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), where
        measured = ("images_per_second", "epoch_seconds", "peak_memory_bytes", "teacher_seconds")
        for key in first.keys() - set(measured):
            assert_same(first[key], second[key], f"{where}.{key}")
    elif isinstance(first, list | tuple):
        assert len(first) == len(second), where
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}.{index}")
    elif isinstance(first, torch.Tensor):
        assert first.equal(second), where
    else:
        assert first == second, where
