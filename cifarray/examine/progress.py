"""How far an examination is, told to whoever shows it.

Not here: showing it (`cifarray.cli.progress`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from cifarray.training.classifier import Classifier

Tell = Callable[[str, int, int], None]
"""Called with what is going on, how many images are done, and how many there are."""


def tell_nobody(what: str, done: int, total: int) -> None:
    pass


@contextmanager
def counted(classifier: Classifier, what: str, total: int, tell: Tell) -> Iterator[None]:
    """Every image that the classifier answers in the block is told; `total` are expected."""
    done = 0

    def count(module: object, inputs: object, logits: Tensor) -> None:
        nonlocal done
        done += len(logits)
        tell(what, done, total)

    tell(what, 0, total)
    hook = classifier.register_forward_hook(count)
    try:
        yield
    finally:
        hook.remove()
