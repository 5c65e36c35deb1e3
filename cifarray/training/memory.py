"""The most memory that a trial took on this rank: of the GPU, or of the process where there is none."""

import contextlib
import resource
import sys
from pathlib import Path

import torch


def reset_peak(device: torch.device) -> None:
    """From now on the peak counts anew, as far as the system allows it."""
    if device.type == "cuda":
        # Before something has begun with the GPU torch resets nothing, and raises.
        torch.cuda.init()  # type: ignore[no-untyped-call]
        torch.cuda.reset_peak_memory_stats(device)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to the present size (Linux, proc(5))


def peak_bytes(device: torch.device) -> int:
    """Bytes allocated on the GPU, or the high-water mark of the process's resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    # Not resettable, but known wherever there is no /proc; kilobytes, except on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
