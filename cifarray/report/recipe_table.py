"""All recipes with their sizes, published figures and sources, as a table."""

from collections.abc import Iterable

from rich.table import Table

from cifarray.models import measure
from cifarray.recipes import Recipe

DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}


def recipe_table(recipes: Iterable[Recipe]) -> Table:
    """Parameters and multiply-adds of one image are ours, for 10 classes; the error is the published one."""
    drawn = Table(box=None, padding=(0, 1), header_style="bold")
    for heading in ("recipe", "parameters", "MACs", "published error", "source"):
        drawn.add_column(heading, justify="left" if heading in ("recipe", "source") else "right", no_wrap=True)
    for recipe in recipes:
        config, published = recipe(), recipe.published
        size = measure(config.model.name, 10, config.data.input_size, config.model.options)
        note = f" ({published.note})" if published.note else ""
        drawn.add_row(
            recipe.name,
            f"{size.num_params:,}",
            f"{size.macs / 1e6:,.1f} M",
            published_error(recipe),
            published.source + note,
        )
    return drawn


def published_error(recipe: Recipe) -> str:
    """`4.00 % CIFAR-10`."""
    published = recipe.published
    if published.error is None:
        return "–"
    return f"{published.error:.2f} % {DATASETS.get(published.dataset, published.dataset)}"
