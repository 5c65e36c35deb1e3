"""A cluster file (`cluster.yaml`, `clusters/`) before it costs money, and what runs beside Ray on its nodes.

Here: is the file right (`checks`), what would it launch (`launch`, at the AWS of `rehearsal`), what would that cost
(`cost`). On the head, MLflow's server (`mlflow.conf`, `mlflow.sh`) and its database's copy (`database_copy`), what is
asked for first (`spot_first`), the end of own machines (`own_machines`); on workers, AWS's notices (`spot`).
`__main__` has the commands.
Not here: anything that a study needs; no other part of the package imports this one.
"""
