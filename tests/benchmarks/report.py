"""How long the report page of a long study takes, how much memory, and how large it is; all epochs are done.

Claim: 5,000 trials of 200 epochs, a million epochs, are a page in under 60 s of a core, in 1 GiB and 15 MB. The journal
is made first, by the product's own decisions (`tests.report.made_studies`), which is not counted; the page is made in a
process of its own, as `jobs/report.py --no-champion` does, imports included. It is one thread, so on a core of its own
it takes its CPU seconds, which other processes on the machine disturb less.

    python -m tests.benchmarks.report                           # some minutes, most of them to make the journal
    python -m tests.benchmarks.report --trials 60 --epochs 27
    python -m tests.benchmarks.report --asha                    # most trials are stopped early
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

from cifarray.report.page import document
from cifarray.report.page.at_end import PAGE
from cifarray.report.page.told import read
from cifarray.study.schedulers import Asha, RunAll
from tests.benchmarks.setting import print_table
from tests.fresh_processes import fresh_processes
from tests.report.made_studies import write_study

TARGETS = {"CPU seconds": 60.0, "MiB of memory": 1024.0, "MB of page": 15.0}


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds, memory and size of the report page of a long study.")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--asha", action="store_true", help="stop trials early (default: all run to their end)")
    parser.add_argument("--keep", metavar="FOLDER", help="where journal and page stay (default: they are deleted)")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(flags.keep or temporary) / "made"
        if not folder.exists():
            scheduler = Asha(3, max(1, flags.epochs // 27)) if flags.asha else RunAll()
            write_study(folder, flags.trials, flags.epochs, groups=16, scheduler=scheduler, mishaps=False)
        journal = next(folder.glob("*.jsonl")).stat().st_size / 1e6
        with fresh_processes(1) as process:
            found = process.submit(measure, folder).result()
    rows = [
        (name, f"{value:,.1f}", f"≤ {TARGETS[name]:,.0f}" if name in TARGETS else "") for name, value in found.items()
    ]
    print(f"{flags.trials:,} trials × {flags.epochs} epochs, a journal of {journal:,.0f} MB")
    print_table(("the page", "found", "claim"), rows)
    sys.exit(any(value > TARGETS.get(name, value) for name, value in found.items()))


def measure(folder: Path) -> dict[str, float]:
    """Of the page of the study in `folder`, in this process, which has done nothing else."""
    began = time.monotonic()
    told = read(folder)
    read_after = time.monotonic() - began
    told.validation_images = 5000
    path = document.write([told], folder / PAGE)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.monotonic() - began,
        "of them reading": read_after,
        "CPU seconds": usage.ru_utime + usage.ru_stime,
        "MiB of memory": _peak() / 1024,
        "MB of page": path.stat().st_size / 1e6,
    }


def _peak() -> int:
    """Kilobytes of this process at most (Linux); `ru_maxrss` begins with what the process that started it had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main()
