"""Images per second of the published recipes on one GPU, against a bare loop and against the multiply-adds' limit.

Each recipe trains as published (its batch, its augmentation, deterministic) on synthetic images: launched kernel by
kernel, with `cuda_graph` auto, and compiled where asked. The bare loop sees one fixed batch again and again, with the
same network and precision, cuDNN's autotuner and no deterministic kernels: no data, no augmentation, no metrics. Where
timm is installed, torchvision's ResNet-50 trains in a loop like that of its `benchmark.py` too (Wightman,
github.com/huggingface/pytorch-image-models): an SGD step on a fixed batch, channels_last, bf16.

limit: images/s at which 2 · 3 · multiply-adds · images/s (forward, and two products backward) is the rate of a large
bf16 matrix product on this card, measured here. kernels, busy: launches a step and the share of the time that any of
them runs, of the plain steps, by torch's profiler.

    python -m tests.benchmarks.gpu                                     # all, about 6 minutes on an H100
    python -m tests.benchmarks.gpu --recipes resnet_32 wide_resnet_28_10 --compile --steps 40
    python -m tests.benchmarks.gpu --where-the-time-goes resnet_32     # the ten most expensive kernels
"""

import argparse
import tempfile
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

import cifarray.recipes
from cifarray.config import TrainConfig, override
from cifarray.data import open_store
from cifarray.models import build, measure
from cifarray.recipes.registry import RECIPES
from cifarray.training.loop import Training
from cifarray.training.precision import autocast, resolve
from cifarray.training.step import TimedStep
from tests.benchmarks.setting import data_in, print_table

HELD_OUT, CLASSES = 500, 10
HEAD = ("images/s", "plain", "graph", "compiled", "bare", "ratio", "limit", "used", "kernels", "busy")


def published() -> list[str]:
    """Names of the recipes that are somebody's, one for each network."""
    chosen: dict[str, str] = {}
    for name, recipe in RECIPES.items():
        config = recipe()
        key = f"{config.model} {config.batch_size} {config.optimizer.name} {config.data.grid}"
        if not name.endswith("_fast"):
            chosen.setdefault(key, name)
    return list(chosen.values())


def short(config: TrainConfig, num_images: int, steps: int) -> TrainConfig:
    """Two epochs of so many steps on synthetic images."""
    data = {"data.source": f"synthetic:{num_images}", "data.validation": HELD_OUT, "optimizer.lr": 1e-3}
    return override(config, {**data, "data.limit": steps * config.batch_size, "epochs": 2, "schedule.warmup": 0.0})


def trained(config: TrainConfig, device: torch.device) -> tuple[float, str]:
    """Images/s of the second epoch, and what was found of a graph."""
    training = Training(config, device)
    training.run_epoch()
    pace = training.run_epoch()["images_per_second"]
    told = training.take_step.told if isinstance(training.take_step, TimedStep) else "plain"
    training.close()
    return pace, told


def bare(config: TrainConfig, device: torch.device, steps: int) -> float:
    """Images/s of forward, loss, backward, step on one fixed batch."""
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    network = build(config.model.name, CLASSES, **config.model.options)
    network.to(device).to(memory_format=torch.channels_last).train()
    side = config.data.input_size
    images = torch.randn(config.batch_size, 3, side, side, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (config.batch_size,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)
    precision = resolve(config.precision, device)
    for step in range(10 + steps):
        if step == 10:
            torch.cuda.synchronize(device)
            began = time.perf_counter()
        optimizer.zero_grad()
        with autocast(precision, device):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.cuda.synchronize(device)
    return steps * config.batch_size / (time.perf_counter() - began)


def matrix_rate(device: torch.device) -> float:
    """Operations a second of a bf16 product of matrices of side 8192, of random numbers."""
    first, second = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(5):
        first @ second
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    began.record()
    for _ in range(20):
        first @ second
    ended.record()
    torch.cuda.synchronize(device)
    return float(20 * 2 * 8192**3 / (began.elapsed_time(ended) / 1000))


def profiled(config: TrainConfig, device: torch.device, steps: int = 5) -> tuple[float, float, profile]:
    """Kernels a step and the share of the time in which one runs, of plain steps, with torch's profile of them."""
    training = Training(override(config, {"cuda_graph": "off"}), device)
    taken, spent = 0, []
    profiler = profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU])

    def on_step() -> None:
        nonlocal taken
        taken += 1
        if taken == 10:
            torch.cuda.synchronize(device)
            profiler.__enter__()
            spent.append(time.perf_counter())
        elif taken == 10 + steps:
            torch.cuda.synchronize(device)
            spent.append(time.perf_counter())
            profiler.__exit__(None, None, None)

    training.run_epoch(on_step)
    training.close()
    kernels = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.time_range.elapsed_us() for event in kernels) / 1e6
    return len(kernels) / steps, busy / (spent[1] - spent[0]), profiler


def timm_like(device: torch.device, steps: int) -> float:
    """Images/s of torchvision's ResNet-50 at 224 pixels and 128 images a batch, in timm's way of measuring."""
    import timm

    network = timm.create_model("tv_resnet50", num_classes=1000).to(device, memory_format=torch.channels_last).train()
    images = torch.randn(128, 3, 224, 224, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(1000, (128,), device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    for step in range(10 + steps):
        if step == 10:
            torch.cuda.synchronize(device)
            began = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    torch.cuda.synchronize(device)
    return steps * 128 / (time.perf_counter() - began)


def line(name: str, device: torch.device, num_images: int, steps: int, compiled: bool, rate: float) -> Sequence[str]:
    """One recipe's row of the table; what cannot be measured is said in its place."""
    config = short(RECIPES[name](), num_images, steps)
    plain, _ = trained(override(config, {"cuda_graph": "off"}), device)
    graph, told = trained(config, device)
    fused = f"{trained(override(config, {'compile': True}), device)[0]:,.0f}" if compiled else ""
    loop = bare(config, device, steps)
    kernels, busy, _ = profiled(config, device)
    limit = rate / (6 * measure(config.model.name, CLASSES, config.data.input_size, config.model.options).macs)
    print(f"{name}: {told}", flush=True)
    figures = f"{plain:,.0f}", f"{graph:,.0f}", fused, f"{loop:,.0f}", f"{max(plain, graph) / loop:.2f}"
    return name, *figures, f"{limit:,.0f}", f"{max(plain, graph) / limit:.1%}", f"{kernels:.0f}", f"{busy:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Images/s of the published recipes on one GPU.")
    parser.add_argument("--recipes", nargs="+", default=published(), choices=sorted(RECIPES), metavar="NAME")
    parser.add_argument("--steps", type=int, default=40, help="of each measurement, after as many or ten to warm up")
    parser.add_argument("--compile", action="store_true", help="compiled too, which takes minutes for deep networks")
    parser.add_argument("--where-the-time-goes", metavar="NAME", help="the most expensive kernels of one recipe")
    flags = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "there is no CUDA GPU here, which this measures\n")
    device = torch.device("cuda", 0)
    with tempfile.TemporaryDirectory() as folder:
        data_in(folder)
        num_images = flags.steps * max(RECIPES[name]().batch_size for name in flags.recipes) + HELD_OUT
        open_store(f"synthetic:{num_images}", "train")
        if flags.where_the_time_goes:
            _, _, profiler = profiled(short(RECIPES[flags.where_the_time_goes](), num_images, flags.steps), device)
            print(profiler.key_averages().table(sort_by="cuda_time_total", row_limit=12, max_name_column_width=60))
            return
        rate = matrix_rate(device)
        rows = []
        for name in flags.recipes:
            try:
                rows.append(line(name, device, num_images, flags.steps, flags.compile, rate))
                print("  ".join(rows[-1]), flush=True)
            except RuntimeError as error:
                first_line = str(error).split("\n")[0]
                print(f"{name}: {first_line}", flush=True)
        print(
            f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, bf16 products {rate / 1e12:.0f} TFLOP/s"
        )
        print_table(HEAD, rows)
        try:
            print(
                f"tv_resnet50 at 224 pixels, batch 128, in timm's loop: {timm_like(device, flags.steps):,.0f} images/s"
            )
        except ImportError:
            print("timm is not installed, so its loop was not measured")


if __name__ == "__main__":
    assert cifarray.recipes
    main()
