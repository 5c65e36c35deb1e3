"""Writes small sources the way that people have them."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from torch import Tensor


def write_parquet(
    path: Path,
    images: Iterable[Tensor],
    labels: Iterable[int | str | None],
    *,
    columns: tuple[str, str] = ("img", "label"),
    names: Sequence[str] | None = None,
) -> Path:
    """(H, W, 3) uint8 images, encoded without loss, in the hub's layout; `names` go where `datasets` puts them."""
    table = pa.table({columns[0]: [{"bytes": png(image), "path": None} for image in images], columns[1]: list(labels)})
    if names is not None:
        features = {columns[1]: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def png(image: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def write_classes(folder: Path, names: Iterable[str] = ("ant", "bee"), count: int = 2) -> Path:
    """Class folders with images, all different."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            Image.new("RGB", (32, 32), (40 * number, 40 * index, 99)).save(folder / name / f"{index}.png")
    return folder
