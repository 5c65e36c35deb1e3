"""The actors that live on the Ray that a test is connected to. `ray.util.state` would ask a dashboard for them."""

from typing import Any


def living_actors(class_name: str) -> dict[str, int]:
    """Process ids of those of a class, by actor id."""
    return {name: actor["Pid"] for name, actor in _alive().items() if actor["ActorClassName"] == class_name}


def nodes_of_actors() -> dict[str, list[str]]:
    """Node ids of the living actors, by class."""
    found: dict[str, list[str]] = {}
    for actor in _alive().values():
        found.setdefault(actor["ActorClassName"], []).append(actor["Address"]["NodeID"])
    return found


def _alive() -> dict[str, Any]:
    from ray._private.state import actors

    return actors(actor_state_name="ALIVE")
