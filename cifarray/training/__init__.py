"""How one model is trained inside a worker: epoch loop, optimizer, schedule, precision, evaluation, checkpoint.

Not here: what is trained on (`cifarray.data`), what is trained (`cifarray.models`), which trainings run where
(`cifarray.search`). Nothing here knows of Ray.
"""

from cifarray.training.batches import check_batch
from cifarray.training.classifier import Classifier, load_classifier
from cifarray.training.evaluate import evaluate, evaluate_split
from cifarray.training.loop import Diverged, Training
from cifarray.training.task import METRICS

__all__ = [
    "METRICS",
    "Classifier",
    "Diverged",
    "Training",
    "check_batch",
    "evaluate",
    "evaluate_split",
    "load_classifier",
]
