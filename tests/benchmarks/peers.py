"""The same search as cifarray, as Ray's documentation has it and as an Optuna study: seconds to the best accuracy.

The search: WRN-10-k, k in 1, 2 and 4, learning rate and weight decay on a log scale, cosine schedule, batches of 64, as
many trials and epochs for each, validation on the same images, two CPU cores. Each is what its users write:

- cifarray: `jobs/tune_wrn.py` as it is, two workers side by side;
- Ray: a Tuner whose trials each start a `TorchTrainer` with one worker, two at once, random points and ASHA (η = 4,
  grace 1), after docs.ray.io/en/latest/train/user-guides/hyperparameter-optimization.html;
- Optuna: TPE with its Hyperband pruner around a plain loop on both cores, after its PyTorch example.

Ray's and Optuna's loops share their code: the CIFAR tutorials' data (PIL images, RandomCrop(32, 4), flip, ToTensor,
Normalize), SGD in fp32, the networks of this project. Counted from the command on, imports and starts included. One
after the other on the same machine, a table for each seed: the best accuracy, seconds to it, and until cifarray had at
least as much; how many times sooner that is; seconds in all, and epochs in trials.

    python -m tests.benchmarks.peers --data ../shared/cifar10                 # about 20 minutes on two idle cores
    python -m tests.benchmarks.peers --data FOLDER --images 4000 --trials 16 --epochs 9 --seeds 3
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cifarray import storage
from cifarray.config import TrainConfig, override
from tests.benchmarks.setting import data_in, print_table

ROOT = Path(__file__).parents[2]
WIDTHS = (1, 2, 4)
LOWEST_LR, HIGHEST_LR = 0.01, 0.4
LOWEST_DECAY, HIGHEST_DECAY = 1e-4, 2e-3
FIXED = {"model.depth": 10, "model.dropout": 0.0, "batch_size": 64, "schedule.name": "cosine", "schedule.warmup": 0.0}


class Told(NamedTuple):
    """An epoch that somebody could have seen."""

    seconds: float
    """Since 1970."""
    trial: str
    accuracy: float


# What people write.


def plain_epochs(config: TrainConfig, prepare: Callable[[Any], Any] = lambda network: network) -> Iterator[float]:
    """Validation accuracy after each epoch of a plain loop."""
    import torch
    import torch.nn.functional as F
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from cifarray.data import open_store
    from cifarray.data.splits import split_indices
    from cifarray.models import build
    from tests.benchmarks.throughput import PilImages

    store = open_store(config.data.source, "train", config.data.image_size)
    train_rows, val_rows = split_indices(store.labels, config.data.validation, config.data.limit)
    normalize = [transforms.ToTensor(), transforms.Normalize(store.mean, store.std)]
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]

    def loader(rows: torch.Tensor, steps: list[Any], batch_size: int, shuffle: bool) -> Any:
        images = PilImages(store.images[rows].numpy(), store.labels[rows].tolist(), transforms.Compose(steps))
        return DataLoader(images, batch_size, shuffle=shuffle, drop_last=shuffle)

    train = loader(train_rows, [*augment, *normalize], config.batch_size, True)
    validation = loader(val_rows, normalize, 256, False)
    torch.manual_seed(config.seed)
    network = prepare(build(config.model.name, len(store.classes), **config.model.options))
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=config.optimizer.lr,
        momentum=config.optimizer.momentum,
        nesterov=config.optimizer.nesterov,
        weight_decay=config.optimizer.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * len(train))
    for _ in range(config.epochs):
        network.train()
        for images, labels in train:
            optimizer.zero_grad()
            F.cross_entropy(network(images), labels).backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            right = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in validation)
        yield right / len(val_rows)


def with_ray(base: TrainConfig, trials: int, seed: int, tell: Callable[[Told], None]) -> None:
    import ray
    from ray import train, tune
    from ray.train.torch import TorchTrainer, prepare_model
    from ray.tune.integration.ray_train import TuneReportCallback
    from ray.tune.schedulers import ASHAScheduler

    def on_a_worker(params: dict[str, Any]) -> None:
        import torch

        torch.set_num_threads(1)
        for accuracy in plain_epochs(override(base, params), prepare_model):
            train.report({"val_accuracy": accuracy})

    def start_workers(params: dict[str, Any]) -> None:
        TorchTrainer(
            on_a_worker,
            train_loop_config=params,
            scaling_config=train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 0.98}),
            run_config=train.RunConfig(
                name=f"train-{tune.get_context().get_trial_id()}",
                storage_path=os.environ["PEERS_STORAGE"],
                callbacks=[TuneReportCallback()],
            ),
        ).fit()

    class Listening(tune.Callback):
        def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
            tell(Told(time.time(), trial.trial_id, result["val_accuracy"]))

    ray.init(num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    tune.Tuner(
        # Nearly none, and what is missing for two workers beside it is left free: two train at once.
        tune.with_resources(start_workers, {"CPU": 0.01}),
        param_space={
            "model.widen_factor": tune.choice(WIDTHS),
            "optimizer.lr": tune.loguniform(LOWEST_LR, HIGHEST_LR),
            "optimizer.weight_decay": tune.loguniform(LOWEST_DECAY, HIGHEST_DECAY),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=2,
            scheduler=ASHAScheduler(max_t=base.epochs, grace_period=1, reduction_factor=4),
            search_alg=tune.search.BasicVariantGenerator(random_state=seed),
        ),
        run_config=tune.RunConfig(storage_path=os.environ["PEERS_STORAGE"], verbose=0, callbacks=[Listening()]),
    ).fit()


def with_optuna(base: TrainConfig, trials: int, seed: int, tell: Callable[[Told], None]) -> None:
    import optuna
    import torch

    torch.set_num_threads(2)
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        params = {
            "model.widen_factor": trial.suggest_categorical("model.widen_factor", WIDTHS),
            "optimizer.lr": trial.suggest_float("optimizer.lr", LOWEST_LR, HIGHEST_LR, log=True),
            "optimizer.weight_decay": trial.suggest_float(
                "optimizer.weight_decay", LOWEST_DECAY, HIGHEST_DECAY, log=True
            ),
        }
        accuracy = 0.0
        for epoch, accuracy in enumerate(plain_epochs(override(base, params)), start=1):
            tell(Told(time.time(), str(trial.number), accuracy))
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return accuracy

    optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=base.epochs, reduction_factor=3),
    ).optimize(objective, n_trials=trials)


PEERS = {"Ray Tune over Train, ASHA": with_ray, "Optuna TPE, Hyperband": with_optuna}


# Beside each other.


def ours(base: TrainConfig, trials: int, seed: int, folder: Path) -> list[Told]:
    """What a study's journal has of `jobs/tune_wrn.py` with the same space."""
    space = [
        f"model.widen_factor={','.join(map(str, WIDTHS))}",
        f"optimizer.lr={LOWEST_LR}..{HIGHEST_LR}:log",
        f"optimizer.weight_decay={LOWEST_DECAY}..{HIGHEST_DECAY}:log",
    ]
    fixed = [f"{path}={value}" for path, value in FIXED.items()]
    how_much = ["--trials", str(trials), "--epochs", str(base.epochs), "--limit", str(base.data.limit)]
    command = [sys.executable, "jobs/tune_wrn.py", "--name", f"ours-{seed}", "--seed", str(seed), *how_much]
    command += ["--data", base.data.source, "--storage", str(folder), "--set", *fixed, "--space", *space]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    events = map(json.loads, (folder / f"ours-{seed}" / "journal.jsonl").read_text().splitlines())
    return [
        Told(event["time"], str(event["trial"]), event["metrics"]["val_accuracy"])
        for event in events
        if event["kind"] == "epoch"
    ]


def theirs(peer: str, base: TrainConfig, trials: int, seed: int, folder: Path) -> list[Told]:
    """The same of a peer in a process of its own."""
    log = folder / f"{seed}-{list(PEERS).index(peer)}.jsonl"
    job = {"peer": peer, "config": base.to_dict(), "trials": trials, "seed": seed, "log": str(log)}
    environment = {**os.environ, "PEERS_STORAGE": str(folder / "ray"), "RAY_TRAIN_V2_ENABLED": "1"}
    command = [sys.executable, "-m", "tests.benchmarks.peers", "--job", json.dumps(job)]
    subprocess.run(command, cwd=ROOT, check=True, env=environment, stdout=subprocess.DEVNULL)
    return [Told(*json.loads(line)) for line in log.read_text().splitlines()]


def run_peer(job: dict[str, Any]) -> None:
    warnings.simplefilter("ignore")

    def tell(told: Told) -> None:
        # Opened anew, as Ray pickles who calls it.
        with open(job["log"], "a") as log:
            log.write(json.dumps(told) + "\n")

    PEERS[job["peer"]](TrainConfig.from_dict(job["config"]), job["trials"], job["seed"], tell)


def reached(told: list[Told], accuracy: float, began: float) -> float | None:
    """Seconds until somebody could have seen so much; None if never."""
    return next((each.seconds - began for each in sorted(told) if each.accuracy >= accuracy), None)


def rows_of(found: dict[str, tuple[float, list[Told]]]) -> list[tuple[str, ...]]:
    """found: of each contender, cifarray first, when its command was given and what it told."""
    (own_began, own), *_ = found.values()
    rows = []
    for name, (began, told) in found.items():
        best = max(each.accuracy for each in told)
        needed, ours_needed = reached(told, best, began), reached(own, best, own_began)
        assert needed is not None
        rows.append(
            (
                name,
                f"{100 * best:.1f} %",
                f"{needed:.0f}",
                "never" if ours_needed is None else f"{ours_needed:.0f}",
                "" if ours_needed is None else f"{needed / ours_needed:.2f}",
                f"{max(each.seconds for each in told) - began:.0f}",
                f"{len(told)} in {len({each.trial for each in told})}",
            )
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="The same search with cifarray, Ray Tune over Train, and Optuna.")
    parser.add_argument("--data", default="synthetic:5000", help="source of the images (default: synthetic)")
    parser.add_argument("--images", type=int, default=4000, help="at most so many to train on")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=1, help="searches of each")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.job:
        run_peer(json.loads(flags.job))
        return

    from cifarray.data import open_store
    from search_spaces import wrn

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data_in(folder)
        # Two of Ray's or of ours share the cores; a plain loop sets its own.
        os.environ.pop("OMP_NUM_THREADS", None)
        source = storage.absolute(flags.data)
        open_store(source, "train")
        data = {"data.source": source, "data.limit": flags.images}
        base = override(wrn.space.base, {**FIXED, **data, "epochs": flags.epochs})
        for seed in range(flags.seeds):
            found: dict[str, tuple[float, list[Told]]] = {}
            began = time.time()
            found["cifarray"] = began, ours(base, flags.trials, seed, folder)
            for peer in PEERS:
                began = time.time()
                found[peer] = began, theirs(peer, base, flags.trials, seed, folder)
            head = (f"seed {seed}", "best", "s to it", "cifarray's", "times sooner", "s in all", "epochs")
            print_table(head, rows_of(found))


if __name__ == "__main__":
    main()
