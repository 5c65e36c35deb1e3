"""What a network is asked: one file a task, which owns its batches, its loss, its evaluation and its answers' names.

`kinds` says without torch which task a train config means and what is measured of it; `registry` has the tasks
themselves, `task` what a task is. Not here: augmentation and grids (`cifarray.data`), the loop (`cifarray.training`).
"""
