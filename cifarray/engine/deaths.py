"""How a process of a Ray actor died, in one line of what Ray tells at length.

Not here: what follows from it (`cifarray.study.faults`).
"""

import re

OURS = "killed by `ray.kill`"


def death_in_a_line(who: str, text: str) -> str | None:
    """ "who (process 4711 on 192.0.2.2) died: …", of the text of an error of Ray's; None where that tells no death."""
    dead = re.search(r"The actor (?:is dead|died) because (.*)", text, re.DOTALL)
    if dead is None:
        return None
    told = dict(re.findall(r"^\t(pid|ip): (\S+)$", text, re.MULTILINE))
    reason, _, causes = dead[1].partition(" Some common causes include")
    hint = "; `dmesg` there tells whether its kernel ended it for want of memory" if causes else ""
    how = " ".join(reason.rpartition("Worker exit detail: ")[2].split()).rstrip(".")
    who = f"{who} (process {told.get('pid', 'unknown')} on {told.get('ip', 'a node')})"
    # Whoever hears of it: the pool does that to a host that is stopped or stuck.
    return f"{who} did not answer and was ended" if OURS in how else f"{who} died: {how}{hint}"
