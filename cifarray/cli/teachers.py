"""A teacher by name: what a user calls it becomes the address of a checkpoint, once, on the driver.

So workers need nothing but the checkpoint, and a study is the same study for as long as the name means the same: the
same address, and there a checkpoint of the same study. Not here: what a name may be (`cifarray.journal.targets`), which
teachers fit (`cifarray.training.distillation`).
"""

from dataclasses import replace
from typing import Any

from cifarray.config import TrainConfig, override
from cifarray.space.domains import AnyDomain, Cases, Choice
from cifarray.space.space import SearchSpace

TEACHER, STUDIES = "distillation.teacher", "distillation.studies"


def with_teachers(space: SearchSpace, where: str, tracking_uri: str) -> SearchSpace:
    """The space with addresses for names, in its configs and in the domain of the teacher.

    Raises StudyError for a name that means nothing or a file that is no checkpoint, ValueError for a teacher that
    does not fit the data. Nothing is read where there is no teacher.
    """
    domain = space.domains.get(TEACHER)
    varied = _names(domain) if domain is not None else set()
    configs = [space.base, *space.recipes.values()]
    names = varied.union(*({config.distillation.teacher} for config in configs)) - {None}
    if not names:
        return space
    # Late: a teacher is a network and brings torch along, and most commands have none.
    from cifarray.data import open_store
    from cifarray.examine import networks
    from cifarray.training.distillation import check_teacher

    addresses = {None: None, **{name: networks.find_checkpoint(str(name), where, tracking_uri)[2] for name in names}}
    ids: set[str | None] = set()
    for name in sorted(names, key=str):
        teacher = networks.load(str(addresses[name]))
        ids.add(teacher.study)
        for config in configs:
            if name in varied or name == config.distillation.teacher:
                data = config.data
                store = open_store(data.source, "train", data.image_size)
                check_teacher(teacher, override(config, {TEACHER: addresses[name]}), store)

    # Of a checkpoint that no study wrote, nobody can tell whether another one has taken its place.
    studies = () if None in ids else tuple(sorted(map(str, ids)))

    def addressed(config: TrainConfig) -> TrainConfig:
        teacher = addresses[config.distillation.teacher]
        return override(config, {TEACHER: teacher, STUDIES: studies if teacher or varied else ()})

    return replace(
        space,
        base=addressed(space.base),
        recipes={name: addressed(config) for name, config in space.recipes.items()},
        domains=space.domains if domain is None else {**space.domains, TEACHER: _addressed(domain, addresses)},
    )


def _names(domain: AnyDomain) -> set[Any]:
    if isinstance(domain, Cases):
        return set().union(*(_names(case) for _, case in domain.cases))
    return set(domain.values) if isinstance(domain, Choice) else set()


def _addressed(domain: Any, addresses: dict[Any, Any]) -> Any:
    if isinstance(domain, Cases):
        return replace(domain, cases=tuple((value, _addressed(case, addresses)) for value, case in domain.cases))
    if isinstance(domain, Choice):
        return replace(domain, values=tuple(dict.fromkeys(addresses[value] for value in domain.values)))
    return domain
