"""All recipes with their sizes, published figures and sources, as a table."""

from collections.abc import Iterable

from rich.table import Table

from cifarray.recipes import Recipe
from cifarray.recipes.sizes import SIZES

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}


def recipe_table(recipes: Iterable[Recipe]) -> Table:
    """Parameters and multiply-adds of one image are ours, for 10 classes; the error is the published one."""
    drawn = Table(box=None, padding=(0, 1), header_style="bold")
    for heading in ("recipe", "parameters", "MACs", "published error", "source"):
        drawn.add_column(heading, justify="left" if heading in ("recipe", "source") else "right", no_wrap=True)
    for recipe in recipes:
        published = recipe.published
        num_params, macs = SIZES.get(recipe.name) or _counted(recipe)
        note = f" ({published.note})" if published.note else ""
        drawn.add_row(
            recipe.name,
            f"{num_params:,}",
            f"{macs / 1e6:,.1f} M",
            published_error(recipe),
            published.source + note,
        )
    return drawn


def _counted(recipe: Recipe) -> tuple[int, int]:
    # Late: it brings torch along, and only a recipe that is new has to be counted.
    from cifarray.models import measure

    config = recipe()
    size = measure(config.model.name, 10, config.data.input_size, config.model.options)
    return size.num_params, size.macs


def published_error(recipe: Recipe) -> str:
    """`4.00 % CIFAR-10`."""
    published = recipe.published
    if published.error is None:
        return "–"
    return f"{published.error:.2f} % {DATASETS.get(published.dataset, published.dataset)}"
