"""The trial as Tune sees it: a light actor that asks its leased worker group for one epoch per step.

No torch in it: it is started and reused in milliseconds. The last epoch and every fault are returned with
`done=True`; an early stop is the scheduler's. Nothing is raised, which would only cost Tune's actor.
"""

from dataclasses import replace
from typing import Any

import ray
from ray import tune

from cifarray.engine.connection import NAMESPACE
from cifarray.engine.deaths import death_in_a_line
from cifarray.engine.orders import Answer
from cifarray.study.faults import Fault

ACTOR_BYTES = 64 * 2**20
NO_TRIAL = {"epoch": 0, "group": ""}
"""Config of a trial that is over after a step in which nothing is done."""


class Trial(tune.Trainable):
    """Config: `trial`, `epoch` (so far), `epochs`, `group` (its actor's name), `lease`; or NO_TRIAL."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """Memory alone, on the driver's node: a trial's actor takes no CPU, and no node that is lost takes it along."""
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        return tune.PlacementGroupFactory([{"memory": ACTOR_BYTES}], bundle_label_selector=[here])

    def setup(self, config: dict[str, Any]) -> None:
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        self.epoch = config["epoch"]
        self.group: Any = None

    def step(self) -> dict[str, Any]:
        if not self.config["group"]:
            return {"done": True}
        answer = self._answer()
        self.epoch = answer.epoch
        return {"answer": answer, "done": answer.fault is not None or answer.epoch >= self.config["epochs"]}

    def _answer(self) -> Answer:
        nothing = Answer(self.config["trial"], self.epoch)
        try:
            if self.group is None:
                self.group = ray.get_actor(self.config["group"], namespace=NAMESPACE)
            answer: Answer = ray.get(self.group.run_epoch.remote(self.config["lease"], self.epoch + 1))
        except (ray.exceptions.RayError, ValueError) as error:
            # What was raised in the host comes with Ray's own traceback around it.
            cause = str(getattr(error, "cause", None) or error).strip()
            message = death_in_a_line("the worker group's host", cause) or cause
            return replace(nothing, fault=Fault.GROUP_DIED, message=message, group_broken=True)
        return answer if answer.fault is None else replace(answer, trial=nothing.trial, epoch=self.epoch)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Never asked for: rank 0 writes checkpoints to the study's storage."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Never asked for: a trial goes on through its config."""
