"""What is remembered: a study's journal, mirrored into MLflow by a child process of the driver.

Read in this order: `changes` (which event becomes what in MLflow; pure) with `change` (what a run has yet to hear),
`summary` (totals and the best trials) and `wording` (how values are put), `mirror` (sends it, and knows what was sent)
with `note` (the study at a glance), `winner` (the winner's model and its place in the registry) with `model` (its
files), `lookup` (what is there already), `__main__` (the child process that follows the journal), `process` (the
driver's handle on it), `state` (how far it came), `addresses` and `database` (addresses, and making a SQLite database).
Not here: what is an event (`cifarray.study.events`). Importing this package does not import mlflow, which takes a
second and which only the child needs.
"""

from cifarray.tracking.addresses import checkpoint_of_run
from cifarray.tracking.process import EXPERIMENT, Tracking, TrackingResult, try_model_out

__all__ = ["EXPERIMENT", "Tracking", "TrackingResult", "checkpoint_of_run", "try_model_out"]
