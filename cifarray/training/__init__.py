"""How one model is trained inside a worker: epoch loop, optimizer, schedule, precision, evaluation, checkpoint.

Not here: what is trained on (`cifarray.data`), what is trained (`cifarray.models`), which trainings run where
(`cifarray.engine`). Nothing here knows of Ray.
"""
