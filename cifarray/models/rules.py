"""What the values of each family's options must be, known without torch: a wrong one is told before anything is built.

A rule is called as the family's builder is, and takes all of its options by keyword. It returns what the builder counts
by, and raises ValueError with the value, the rule and the nearest valid choice. Both `families.check_options` and the
builder call it. Not here: single checks (`options`), defaults and what the options mean (the builder).
"""

import difflib
from typing import Any

from cifarray.models.depths import BASIC, DENSE, DENSE_BOTTLENECK, IMAGENET_BLOCKS, WIDE, check_residual_depth
from cifarray.models.options import (
    check_choice,
    check_depth,
    check_flag,
    check_number,
    check_share,
    check_whole,
    is_whole,
)
from cifarray.models.torchvision_names import torchvision_names

VARIANTS = ("paper", "post")
ADDITIVE = "additive"


def linear(*, side: Any) -> None:
    check_whole("side", side, 1, "32")


def alexnet(*, size: Any) -> None:
    check_choice("size", size, ("large", "small"))


def resnet13(*, blocks: Any, stem: Any, max_pool: Any) -> list[int]:
    """Blocks of each stage; from the command line a list arrives as floats."""
    counts = []
    if isinstance(blocks, (list, tuple)) and 1 <= len(blocks) <= 4:
        counts = [int(count) if isinstance(count, float) and count.is_integer() else count for count in blocks]
    if not counts or not all(is_whole(count) and count >= 1 for count in counts):
        raise ValueError(
            f"model.blocks {blocks!r} is not one to four whole numbers ≥ 1: choose [2,2,1,1] or [2,2,2] for 13 "
            "convolutions"
        )
    check_choice("stem", stem, ("7x7", "3x3"))
    check_flag("max_pool", max_pool)
    return counts


def plain_cnn(*, depth: Any, norm: Any, variant: Any) -> int:
    """Half the convolutions of a stage."""
    blocks = check_depth(depth, *BASIC)
    _check_norm_and_variant(norm, variant)
    return blocks


def resnet(*, depth: Any, bottleneck: Any, shortcut: Any, norm: Any, variant: Any) -> int:
    """Blocks per stage."""
    blocks = check_residual_depth(depth, bottleneck)
    check_choice("shortcut", shortcut, ("A", "B"))
    _check_norm_and_variant(norm, variant)
    return blocks


preact_resnet = resnet


def stochastic_depth_resnet(*, depth: Any, death_rate: Any, mode: Any) -> int:
    """Blocks per stage."""
    blocks = check_depth(depth, *BASIC)
    check_share("death_rate", death_rate, "0 or the paper's 0.5")
    check_choice("mode", mode, ("linear", "uniform"))
    return blocks


def wide_resnet(*, depth: Any, widen_factor: Any, dropout: Any, variant: Any) -> int:
    """Blocks per group."""
    blocks = check_depth(depth, *WIDE)
    check_whole("widen_factor", widen_factor, 1, "1, 2, 4, 8, 10 or 12")
    check_share("dropout", dropout, "0 or the paper's 0.3")
    check_choice("variant", variant, VARIANTS)
    return blocks


def densenet(
    *, depth: Any, growth_rate: Any, bottleneck: Any, compression: Any, dropout: Any, memory_efficient: Any
) -> int:
    """Layers per dense block."""
    layers = check_depth(depth, *(DENSE_BOTTLENECK if check_flag("bottleneck", bottleneck) else DENSE))
    check_whole("growth_rate", growth_rate, 1, "12, 24 or 40, as the paper")
    check_number("compression", compression, 0.0, "1 or the paper's 0.5", above=True)
    if compression > 1:
        raise ValueError(f"model.compression {compression:g} is not in (0, 1]: choose 1 or the paper's 0.5")
    check_share("dropout", dropout, "0, or the paper's 0.2 without augmentation")
    check_flag("memory_efficient", memory_efficient)
    return layers


def pyramidnet(
    *, depth: Any, alpha: Any, bottleneck: Any, widening: Any, block: Any, shortcut: Any, variant: Any
) -> int:
    """Blocks per stage, of which the post's variant leaves one out."""
    blocks = check_residual_depth(depth, bottleneck)
    check_choice("widening", widening, (ADDITIVE, "multiplicative"))
    check_choice("block", block, ("a", "b", "c", "d"))
    check_choice("shortcut", shortcut, ("pad", "projection"))
    check_choice("variant", variant, VARIANTS)
    if widening == ADDITIVE:
        check_number("alpha", alpha, 0.0, "48, 84 or 270, as the paper", above=True)
    else:
        check_number("alpha", alpha, 1.0, "4.75, 8 or 27, as the paper", above=True)
    if variant == "post" and blocks == 1:
        raise ValueError(f"model.depth {depth} leaves the post's variant without a block: choose 14 or more")
    return blocks


def imagenet_resnet(*, depth: Any, tweak: Any, stem: Any, base_width: Any) -> tuple[int, ...]:
    """Blocks of each stage. A tweak of "none" arrives as None from the command line."""
    check_choice("depth", depth, tuple(IMAGENET_BLOCKS))
    if tweak is not None:
        check_choice("tweak", tweak, ("none", "b", "c", "d"))
    check_choice("stem", stem, ("cifar", "imagenet"))
    check_whole("base_width", base_width, 2, "64, or 16 for a small network")
    if base_width % 2:
        raise ValueError(f"model.base_width {base_width} is odd: choose {base_width - 1} or {base_width + 1}")
    return IMAGENET_BLOCKS[depth]


def torchvision_network(*, arch: Any, resize: Any) -> None:
    """Names that cannot be read are torchvision's to refuse, by a ValueError of its own."""
    names = torchvision_names()
    if names and arch not in names:
        similar = ", ".join(difflib.get_close_matches(str(arch), names, n=3, cutoff=0.3)) or "mobilenet_v2"
        raise ValueError(f"model.arch {arch!r} is not a network of torchvision: choose one like {similar}")
    if resize is not None:
        check_whole("resize", resize, 8, "none, 64 or 224")


def _check_norm_and_variant(norm: Any, variant: Any) -> None:
    check_choice("norm", norm, ("batch", "affine"))
    check_choice("variant", variant, VARIANTS)
