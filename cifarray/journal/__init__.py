"""What happened: a study's append-only record on the driver's disk, its copy in a bucket, its folder.

Not here: what follows from it (`cifarray.study`), what MLflow hears of it (`cifarray.tracking`).
"""
