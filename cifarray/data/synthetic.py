"""Generated images of ten classes: five shapes, each with stripes or checks, for runs without any data at hand.

Position, size, tilt, colours, background and noise are random, so that a linear classifier on pixels fails while a
small convolutional network learns it in a few epochs. Every image is a function of its split and its number, so
`synthetic:2000` is the beginning of `synthetic:10000`.
Not here: when synthetic data may be used (only when it is asked for).
"""

import math

import torch
from torch import Tensor

from cifarray.data.draws import draw
from cifarray.data.images import Dataset, Split, refuse_more_than_memory

SHAPES = ("disc", "square", "triangle", "cross", "ring")
TEXTURES = ("striped", "checked")
CLASSES = tuple(f"{texture} {shape}" for shape in SHAPES for texture in TEXTURES)

_CHUNK = 500


def generate(num_train: int, side: int) -> Dataset:
    """`num_train` training images and a fifth as many test images, drawn directly at `side` pixels.

    Raises DataError if they are more than memory holds.
    """
    refuse_more_than_memory(num_train + num_train // 5, side)
    train, test = (_split(name, count, side) for name, count in (("train", num_train), ("test", num_train // 5)))
    return Dataset(CLASSES, train, test)


def _split(name: str, count: int, side: int) -> Split:
    rows = torch.arange(count)
    images = torch.cat([_draw_images(name, rows[start : start + _CHUNK], side) for start in range(0, count, _CHUNK)])
    return Split(images, rows % len(CLASSES))


def _draw_images(name: str, rows: Tensor, side: int) -> Tensor:
    count = len(rows)
    labels = rows % len(CLASSES)
    # 8 numbers of geometry, 12 of colours: (B, 1, 1) each, in [0, 1).
    random = (draw(f"synthetic {name}", 0, 0, rows, 20).float() / 2**32)[:, :, None, None].unbind(1)
    radius = 0.5 + 0.3 * random[0]
    center_y, center_x = ((2 * r - 1) * (1 - radius) for r in random[1:3])
    tilt = 0.6 * (random[3] - 0.5)
    phase_u, phase_v = (2 * math.pi * r for r in random[4:6])
    angle = 2 * math.pi * random[6]
    frequency = math.pi * (1.8 + 0.8 * random[7])

    line = (torch.arange(side) + 0.5) * 2 / side - 1
    y, x = line[:, None], line[None, :]
    u = ((x - center_x) * tilt.cos() + (y - center_y) * tilt.sin()) / radius
    v = ((y - center_y) * tilt.cos() - (x - center_x) * tilt.sin()) / radius

    distance = torch.empty(count, side, side)
    for index, shape in enumerate(SHAPES):
        chosen = labels // len(TEXTURES) == index
        distance[chosen] = _distance(shape, u[chosen], v[chosen])
    inside = (0.5 - distance * radius * side / 2).clamp(0, 1)[..., None]

    stripes = (frequency * u + phase_u).sin()
    checked = (labels % len(TEXTURES) == TEXTURES.index("checked"))[:, None, None]
    texture = torch.where(checked, stripes * (frequency * v + phase_v).sin(), stripes)
    texture = (0.5 + 4 * texture).clamp(0, 1)[..., None]

    colors = torch.stack(random[8:20], dim=-1).view(count, 1, 1, 4, 3)
    slope = ((x * angle.cos() + y * angle.sin()) / 2 + 0.5).clamp(0, 1)[..., None]
    background = torch.lerp(colors[..., 0, :], colors[..., 1, :], slope)
    figure = torch.lerp(0.4 * colors[..., 2, :], 0.6 + 0.4 * colors[..., 3, :], texture)
    noise = draw(f"synthetic noise {name}", 0, 0, rows, side * side * 3).float().view(count, side, side, 3) / 2**32
    images = torch.lerp(background, figure, inside) + 0.3 * (noise - 0.5)
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def _distance(shape: str, u: Tensor, v: Tensor) -> Tensor:
    """How far a point is outside of the shape's outline (negative inside), in units of its radius."""
    if shape == "disc":
        return u.hypot(v) - 0.95
    if shape == "ring":
        return (u.hypot(v) - 0.75).abs() - 0.25
    if shape == "square":
        return torch.maximum(u.abs(), v.abs()) - 0.8
    if shape == "triangle":
        return torch.maximum(0.866 * u.abs() - 0.5 * v, v) - 0.5
    bar = torch.maximum(u.abs() - 0.35, v.abs() - 1)
    return torch.minimum(bar, torch.maximum(v.abs() - 0.35, u.abs() - 1))
