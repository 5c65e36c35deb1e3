"""Names of classes that people can tell apart, and splits that can be learnt from.

Not here: where names come from (`folders`, `parquet`).
"""

import unicodedata
from collections.abc import Iterable

from torch import Tensor

from cifarray.data.errors import DataError
from cifarray.data.images import Dataset


def same_text(name: str) -> str:
    """One form of names that are written alike: an archive made on a Mac takes accents apart."""
    return unicodedata.normalize("NFC", name)


def refuse_unprintable(names: Iterable[str], where: str) -> None:
    """They go into tables, files and MLflow, as UTF-8."""
    for name in names:
        if not name.strip() or not name.isprintable():
            raise DataError(f"{where} has a class named {name!r}, which cannot be printed: rename it")


def refuse_lookalikes(names: Iterable[str], where: str) -> None:
    """Folders that differ in case or in how an accent is written are mostly one class in two pieces."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold().strip(), name)
        if other != name:
            raise DataError(
                f"{where} has the classes {other} and {name}, which differ only in how they are written: put them "
                "together, or rename one"
            )


def refuse_unlearnable(dataset: Dataset, source: str) -> None:
    """Raises DataError for training images of one class, where each answer is right, and for test images of others."""
    labels = _distinct(dataset.train.labels)
    if not labels:
        raise DataError(f"data {source!r} has no training images: add some, or choose other data")
    if len(labels) == 1:
        raise DataError(
            f"data {source!r} has training images of one class alone, {dataset.classes[labels[0]]}: two are needed, "
            "add another one or give the folder that holds the folders of all classes"
        )
    unknown = [label for label in _distinct(dataset.test.labels) if label not in labels] if dataset.test else []
    if unknown:
        raise DataError(
            f"data {source!r} has test images of the class {dataset.classes[unknown[0]]} and no training images of it: "
            "add some, or correct the labels"
        )


def _distinct(labels: Tensor) -> list[int]:
    return labels.bincount().nonzero().flatten().tolist()
