"""`cluster.yaml` before it costs money, and what runs beside Ray on the head that it describes.

Here: is the file right (`checks`), what would it launch (`launch`), what would that cost (`cost`), the same for other
places than AWS (`variants`), MLflow's server (`mlflow.conf`) and its database's copy (`database_copy`).
Not here: anything that a study needs; no other part of the package imports this one.
"""
