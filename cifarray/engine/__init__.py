"""How a study is carried out on Ray.

Read in this order: `run` (a study from top to bottom), `driver` (where state, journal and pool meet) behind
`tune_adapters` (as Tune asks and tells), `trial` (Tune's Trainable), `pool` (which trial has which group) with `group`,
`failed_starts` and `waiting`, `worker_group` (a group's host) with `stay`, `sequence` and `liveness`, `worker` (what
every DDP worker runs), `orders` (what these say to each other), `train_run` (the Train run behind a group) with
`process_group` and `deaths`. Beside them: `background`, `checks` and `checkpoints` (deleting them), `signals`,
`last_word` and `result` (a driver's end). Ray itself: `connection` (reaching it), `cluster`, `capacity`, `nodes` and
`versions` (what the machines have), `ray_internals` (what is not its public interface). Not here: what is decided
(`cifarray.study`), how one network is trained (`cifarray.training`).
"""

import os

# Ray reads these when it is imported, so they are set before any module here imports it.
_DEFAULTS = {
    # A plain `ray start --head` turns token authentication on; both sides find the token by themselves with this.
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "TUNE_WARN_THRESHOLD_S": "1000000000",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""A user's own settings win."""
_REQUIRED = {
    # Worker groups are Train runs of version 2.
    "RAY_TRAIN_V2_ENABLED": "1",
    # One result at a time: a decision takes effect before the next epoch.
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # The journal is what a study goes on from; Tune's own snapshots are never read.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    # The searcher hands out no more trials than there are groups, so none has to wait for another's actor.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
    # Ctrl-C is the driver's: Tune's handler would wait for its actors first.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Actors and counters that every Train run would start for features that a worker group has no use for.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Tune's newer output prints a table whatever its verbosity.
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""A study does not run, or not as it says, with others."""
_OLDER = ("TUNE_RESULT_DIR", "RAY_AIR_LOCAL_CACHE_DIR", "RAY_STORAGE")
"""Of an older Ray, which had results there; this one ends where they are set."""
UNUSED = {
    name: (os.environ[name], _REQUIRED.get(name, ""))
    for name in (*_REQUIRED, *_OLDER)
    if name in os.environ and os.environ[name] != _REQUIRED.get(name)
}
"""Settings of the shell with which a study does not run: what they are, and what they must be; empty for unset."""
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)
os.environ.update(_REQUIRED)
for _name in _OLDER:
    os.environ.pop(_name, None)
