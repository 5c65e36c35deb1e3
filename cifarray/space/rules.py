"""Which fields a rule reads together: of these alone are all combinations of ends checked, of all others each end.

A rule on one field needs no line here: the ends of every domain are looked at, one after the other. Not here: the rules
themselves, which are the validators of `cifarray.config`, the builders' in `cifarray.models` and the study's own.
"""

from collections.abc import Collection, Iterator

Rule = tuple[str, ...]
"""Fields by dotted path; one with a dot at its end stands for all fields below it."""

CONFIG: tuple[Rule, ...] = (
    ("data.image_size", "data.crop_size"),
    ("data.crop_size", "data.grid"),
    ("optimizer.name", "optimizer.nesterov", "optimizer.momentum"),
    ("schedule.name", "schedule.milestones", "schedule.warmup"),
    ("data.grid", "mixup", "cutmix", "distillation.teacher"),
)
"""A train config keeps these by itself."""

NETWORK: tuple[Rule, ...] = (("model.",),)
"""A builder reads all of its options together."""

START: tuple[Rule, ...] = (*NETWORK, ("model.", "init.zero_gamma"), ("model.", "stochastic_depth"))
"""What a network can be given hangs on the network."""

IMAGES: tuple[Rule, ...] = (("data.validation", "data.limit", "batch_size"),)
"""Whether there is a whole batch to train on."""

STUDY: tuple[Rule, ...] = (*START, ("batch_size", "accumulate"), *IMAGES, ("data.grid",), ("sync_batch_norm",))
"""What a study looks at where it is made; the number of workers and the metric do not vary in it."""


def parts(rule: Rule, paths: Collection[str]) -> list[str]:
    """Those of `paths` that a rule reads."""
    return [path for path in paths if any(path == part or (part[-1] == "." and path.startswith(part)) for part in rule)]


def products(rules: Collection[Rule], paths: Collection[str]) -> Iterator[list[str]]:
    """Of the fields `paths` that vary, those that rules read: each alone, then those that one rule reads together."""
    together = [parts(rule, paths) for rule in rules]
    yield from ([path] for path in dict.fromkeys(path for joined in together for path in joined))
    yield from (joined for joined in together if len(joined) > 1)
