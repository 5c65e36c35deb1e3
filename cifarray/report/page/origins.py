"""Part 9, where it comes from: config, versions, data, and whom to cite.

Not here: the command that repeats it (`answer`).
"""

import datetime

from cifarray.fields import as_text, flatten
from cifarray.report.page.answer import recipe_of
from cifarray.report.page.parts import Column, Part, Table, plural
from cifarray.report.page.told import Told
from cifarray.report.page.worth import winner
from cifarray.report.warm_start import learnt

DATA_SOURCES = {
    "cifar10": "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    "cifar100": "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
}
METHODS = {
    "asha": "Li et al. 2018, A System for Massively Parallel Hyperparameter Tuning, arXiv:1810.05934",
    "tpe": "Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization, NIPS 24",
}


def origins(told: Told) -> Part:
    started, best = told.started, winner(told)
    config = flatten(dict(best.config)) if best is not None else flatten(dict(started.config))
    versions = told.drivers[-1].versions if told.drivers else {}
    source = str(config.get("data.source", "not known"))
    day = datetime.datetime.fromtimestamp(told.began, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    whose = f"the config of trial {best.number}" if best is not None else "the config that the search began from"
    digest = f"images of sha256 {started.data_sha256[:16]}…" if started.data_sha256 else "images of an unknown digest"
    sentence = f"The study began {day} on {source}, {digest}; below is {whose}."
    learnt_from = "; ".join(map(learnt, told.state.learnt_from))
    facts = [
        ("study", f"{told.name}, id {started.id}, in {told.storage}"),
        ("data", _data(told, source)),
        ("search", _search(told)),
        *([("warm start", learnt_from)] if learnt_from else []),
        ("versions", _versions(versions) or "not in the journal"),
        ("code", _code(versions)),
        ("cite", "; ".join(_citations(told, source)) or "nobody's recipe, data or method that has a source"),
    ]
    searched = set(best.params) if best is not None else set(told.state.space.domains)
    cells = [[path, as_text(value), "yes" if path in searched else ""] for path, value in config.items()]
    table = Table("The train config", [Column("field"), Column("value"), Column("searched")], cells)
    return Part(sentence, facts, tables=[table])


def _data(told: Told, source: str) -> str:
    parts = [source]
    if told.started.num_classes:
        parts.append(f"{told.started.num_classes} classes")
    if told.validation_images:
        parts.append(f"{told.validation_images:,} images held out")
    parts.append(f"sha256 {told.started.data_sha256}" if told.started.data_sha256 else "no digest in the journal")
    return ", ".join(parts)


def _search(told: Told) -> str:
    started, state = told.started, told.state
    domains = ", ".join(f"{path} in {domain}" for path, domain in state.space.domains.items())
    text = f"searcher {started.searcher}, scheduler {state.scheduler.describe(state.space.base.epochs)}, "
    text += f"seed {started.seed}, {plural(started.workers, 'worker')} a trial"
    return f"{text}; {domains}" if domains else text


def _code(versions: dict[str, str]) -> str:
    """The journal knows the source files' digest (`cifarray.engine.versions`)."""
    _, plus, digest = versions.get("cifarray", "").partition("+")
    if not plus:
        return "neither a git commit nor a digest of the source files is in the journal"
    commit = versions.get("commit", "")
    return f"source files of digest {digest}; {f'git commit {commit}' if commit else 'no git commit is in the journal'}"


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name != "commit")


def _citations(told: Told, source: str) -> list[str]:
    best = winner(told)
    recipe = recipe_of(best) if best is not None else None
    scheduler = (told.started.scheduler or {}).get("name", "")
    found = [
        f"{recipe.name}: {recipe.published.source}" if recipe is not None and recipe.published.source else "",
        DATA_SOURCES.get(source, ""),
        METHODS.get(str(scheduler), ""),
        METHODS.get(told.started.searcher, ""),
    ]
    return [each for each in found if each]
