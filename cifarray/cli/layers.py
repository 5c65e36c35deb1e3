"""`--summary`: a train config's network, layer by layer."""

from rich.console import Console
from rich.table import Table

from cifarray.config import TrainConfig


def show_layers(config: TrainConfig, console: Console) -> None:
    """Prints a table with a line for each module. Raises ValueError for what is no network, DataError."""
    from cifarray.data import open_store
    from cifarray.models.layers import layers

    num_classes = len(open_store(config.data.source, "train", config.data.image_size).classes)
    found = layers(config.model.name, num_classes, config.data.input_size, config.model.options)
    whole, *parts = found
    side = config.data.input_size
    table = Table("layer", "comes out", box=None, header_style="bold", pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("MACs (M)", justify="right")
    for layer in parts:
        table.add_row(
            f"{'  ' * (layer.depth - 1)}{layer.name} {layer.kind}",
            " × ".join(map(str, layer.shape)) or "–",
            f"{layer.num_params:,}" if layer.num_params else "–",
            f"{layer.macs / 1e6:,.3f}" if layer.macs else "–",
            style=None if layer.is_leaf else "dim",
        )
    console.print(f"{whole.kind} for {num_classes} classes, one image of 3 × {side} × {side}\n", highlight=False)
    console.print(table, highlight=False, markup=False)
    console.print(
        f"\n{whole.num_params:,} parameters ({whole.num_params / 1e6:.2f} M), {whole.macs / 1e6:,.1f} M multiply-adds "
        "(MACs) an image; a line with others below it has their sum",
        highlight=False,
        soft_wrap=True,
    )
