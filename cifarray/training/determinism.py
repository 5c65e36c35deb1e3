"""The process-wide switches and seeds that make a run repeatable, set anew by every trial in a warm process.

Not here: the draws of shuffling and augmentation, which need no generator (`cifarray.data.draws`).
"""

import hashlib
import os

import torch


def set_determinism(deterministic: bool) -> None:
    """Deterministic kernels, or cuDNN's autotuned ones. The number of threads is the caller's."""
    # Read when cuBLAS first starts in the process, so it is set even if only a later trial needs it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    # Filling every new tensor with NaN finds reads of unset memory, at a cost in each step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = deterministic
    torch.backends.cudnn.benchmark = not deterministic


def seed_torch(purpose: str, *numbers: int) -> None:
    """Seeds torch's generators on all devices by a hash: "weights", seed or "dropout", seed, epoch, rank."""
    torch.manual_seed(hashed_seed(purpose, *numbers))


def hashed_seed(purpose: str, *numbers: int) -> int:
    """A seed of 64 bits; different purposes and numbers give unrelated ones."""
    text = " ".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
