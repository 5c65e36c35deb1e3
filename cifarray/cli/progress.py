"""How far an examination is, on the screen. Not here: counting (`cifarray.examine.progress`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
    with Progress(*columns, console=console, transient=True) as bars:

        def show(what: str, done: int, total: int) -> None:
            current = next((task for task in bars.tasks if task.description == what), None)
            if current is None:
                for task in bars.task_ids:
                    bars.remove_task(task)
                bars.add_task(what, total=total, completed=done)
            else:
                bars.update(current.id, completed=done)

        yield show
