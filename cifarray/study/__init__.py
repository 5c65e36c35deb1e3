"""What is decided, without Ray, files or clocks: plain data and pure functions on it.

Read in this order: `study` (what a search is), `trial_record` and `events` (what is known of a trial, and what can
happen), `state` (what is known of a study, and who starts next) with `standings`, `decisions` (what follows an epoch or
a fault), `schedulers` (who goes on), `samplers` with `tpe` (what is tried next), `faults` (what a fault costs). Beside
them: `stats`, `forecast` (how long it will take yet), `rough_time` and `images` (what is seen before it begins).
Importing it takes neither torch nor ray nor mlflow. Not here: what is written down (`cifarray.journal`), how it is
carried out (`cifarray.engine`).
"""
