"""How one model is trained inside a worker: epoch loop, optimizer, schedule, precision, evaluation, checkpoint.

Not here: what is trained on (`cifarray.data`), what is trained (`cifarray.models`), which trainings run where
(`cifarray.search`). Nothing here knows of Ray.
"""

from cifarray.training.batches import check_batch
from cifarray.training.classifier import Classifier, load_classifier
from cifarray.training.evaluate import evaluate_split
from cifarray.training.loop import Diverged, Training

__all__ = ["Classifier", "Diverged", "Training", "check_batch", "evaluate_split", "load_classifier"]
