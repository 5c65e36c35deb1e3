"""What workers import, imported in idle processes of Ray while the driver still looks at data and networks.

Ray makes an actor of a process that idles, if there is one of the same environment, and Train's workers are given none
of their own (`ray_internals.trainer_in_this_process`): so the first group's workers find torch in memory. A hint: where
other processes are taken, workers import it themselves, as they did. Not here: who the workers are (`train_run`).
"""

import importlib

MODULES = ("ray.train.torch", "cifarray.engine.worker")


def import_ahead(workers: int) -> None:
    """In so many processes, spread over the nodes; never waits.

    Takes no CPUs, so that no autoscaler adds a node for it. Not where there are GPUs: processes with and without one
    are not exchanged for each other.
    """
    import ray

    if ray.cluster_resources().get("GPU"):
        return
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy="SPREAD")(_import)
    # Nobody asks for the answers: a node that lacks something says so when its workers start.
    for _ in range(workers):
        task.remote()


def _import() -> None:
    for name in MODULES:
        importlib.import_module(name)
