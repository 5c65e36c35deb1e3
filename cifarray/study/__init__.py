"""What is decided, without Ray, files or clocks: plain data and pure functions on it.

Read in this order: `study` (what a search is), `trial_record` and `events` (what is known of a trial, and what can
happen), `state` (what follows) with `standings`, `schedulers` (who goes on), `samplers` with `tpe` (what is tried
next), `faults` (what a fault costs), `stats`. Importing it takes neither torch
nor ray nor mlflow. Not here: what is written down (`cifarray.journal`), how it is carried out (`cifarray.engine`).
"""
