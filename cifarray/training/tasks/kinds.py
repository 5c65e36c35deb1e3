"""Which task a train config means and what is measured of it, as study, flags and reports need it: without torch.

Not here: the tasks themselves (`registry`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cifarray.config import TrainConfig


@dataclass(frozen=True)
class Kind:
    """metrics: names that an evaluation gives, with what they are called; the first is what trials are compared by.
    sees: what the network is shown, in the plural.
    """

    name: str
    metrics: Mapping[str, str]
    sees: str

    @property
    def default_metric(self) -> str:
        """Of validation."""
        return f"val_{next(iter(self.metrics))}"

    @property
    def has_error(self) -> bool:
        """Whether 1 − accuracy is the share of what it gets wrong."""
        return "accuracy" in self.metrics

    def details(self, metrics: Mapping[str, float]) -> list[str]:
        """What of an epoch's metrics is worth a word beside the one that trials are compared by."""
        if "val_label_accuracy" not in metrics:
            return []
        # Most labels are not there, so the accuracy of saying no to all of them has to stand beside it.
        no, right = metrics["val_label_accuracy_of_no"], metrics["val_label_accuracy"]
        return [
            f"per-label accuracy {100 * right:.1f} % (always no: {100 * no:.1f} %)",
            f"F1 {100 * metrics['val_f1']:.1f} %, exact match {100 * metrics['val_exact_match']:.1f} %",
        ]


SINGLE_LABEL = Kind("single_label", {"accuracy": "accuracy", "loss": "loss"}, "single images")
GRID_LABELS = Kind(
    "grid_labels",
    {
        "map": "mean average precision",
        "label_accuracy": "per-label accuracy",
        "exact_match": "exact match",
        "f1": "F1",
        "precision": "precision",
        "recall": "recall",
        "loss": "loss",
    },
    "2 × 2 grids",
)
_KINDS = {kind.name: kind for kind in (SINGLE_LABEL, GRID_LABELS)}


def kind_of(config: TrainConfig) -> Kind:
    """The task of a train config."""
    return _KINDS[config.task]
