"""How a process of a Ray actor died, or is not reached any more, in one line of what Ray tells at length.

Not here: what follows from it (`cifarray.study.faults`), whether its node is gone too (`worker_group`).
"""

import re

OURS = "killed by `ray.kill`"
PLACE = r"^\s*(?:node_)?(pid|ip)(?:: |=)'?([^\s',]+)"
"""Where a process is: lines of Ray's error of an actor, or of what Train knows of a worker."""


def death_in_a_line(who: str, text: str) -> str | None:
    """ "who (process 4711 on 192.0.2.2) died: …", of the text of an error of Ray's; None where that tells of no process
    that is gone, out of reach or without an answer."""
    told = dict(re.findall(PLACE, text, re.MULTILINE))
    place = f" (process {told.get('pid', 'unknown')} on {told.get('ip', 'a node')})"
    if dead := re.search(r"The actor (?:is dead|died) because (.*)", text, re.DOTALL):
        return _death(who + place, dead[1])
    # An error that has no place of its own is of an actor that a trial's own actor asked.
    who += place if told else ""
    if unreached := re.search(r"The actor \S+ is unavailable: (.*?)\.? The task may or may not", text, re.DOTALL):
        # "Temporarily", says Ray, of all that it has not heard the end of yet.
        how = unreached[1].removeprefix("The actor is temporarily unavailable: ").removeprefix("RpcError: ")
        return f"{who} is not reached any more: {' '.join(how.split())}"
    if silent := re.search(r"health check has been hanging for (\d+)", text):
        return f"{who} has not answered for {silent[1]} s"
    return None


def _death(who: str, text: str) -> str:
    reason, _, causes = text.partition(" Some common causes include")
    hint = "; `dmesg` there tells whether its kernel ended it for want of memory" if causes else ""
    how = " ".join(reason.rpartition("Worker exit detail: ")[2].split()).rstrip(".")
    # Whoever hears of it: the pool does that to a host that is stopped or stuck.
    return f"{who} did not answer and was ended" if OURS in how else f"{who} died: {how}{hint}"
