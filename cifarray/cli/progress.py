"""How far an examination is, on the screen. Not here: counting (`cifarray.examine.progress`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from cifarray.examine.progress import Tell


@contextmanager
def progress_on(console: Console) -> Iterator["Tell"]:
    """A bar below what is printed meanwhile, gone at the end; where lines cannot be taken back, one line a task."""
    if not console.is_terminal or console.is_dumb_terminal:
        begun = set()

        def say(what: str, done: int, total: int) -> None:
            if what not in begun:
                begun.add(what)
                console.print(f"{what}: {total:,} images", highlight=False, markup=False, soft_wrap=True)

        yield say
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as bars:

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            # What is done is told by the next line that is printed.
            bars.update(tasks[what], completed=done, visible=done < total, refresh=done >= total)

        yield show
