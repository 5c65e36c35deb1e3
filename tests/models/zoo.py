"""A small member of each family, and the published members with their sizes. Not here: any test."""

from typing import Any, NamedTuple

SMALL: dict[str, dict[str, Any]] = {
    "linear": {"name": "linear"},
    "alexnet": {"name": "alexnet", "size": "small"},
    "resnet13": {"name": "resnet13"},
    "resnet13 for grids": {"name": "resnet13", "max_pool": True, "stem": "3x3", "blocks": [1, 1]},
    "plain_cnn": {"name": "plain_cnn", "depth": 8},
    "plain_cnn post": {"name": "plain_cnn", "depth": 8, "norm": "affine", "variant": "post"},
    "resnet A": {"name": "resnet", "depth": 8},
    "resnet B": {"name": "resnet", "depth": 8, "shortcut": "B"},
    "resnet post": {"name": "resnet", "depth": 8, "norm": "affine", "variant": "post"},
    "resnet bottleneck": {"name": "resnet", "depth": 11, "bottleneck": True},
    "preact_resnet A": {"name": "preact_resnet", "depth": 8, "shortcut": "A"},
    "preact_resnet bottleneck": {"name": "preact_resnet", "depth": 11, "bottleneck": True},
    "preact_resnet post": {"name": "preact_resnet", "depth": 8, "shortcut": "A", "variant": "post", "norm": "affine"},
    "stochastic_depth_resnet": {"name": "stochastic_depth_resnet", "depth": 14},
    "wide_resnet": {"name": "wide_resnet", "depth": 10, "widen_factor": 2},
    "wide_resnet post": {"name": "wide_resnet", "depth": 10, "widen_factor": 2, "variant": "post"},
    "densenet": {"name": "densenet", "depth": 10, "growth_rate": 4},
    "densenet BC": {"name": "densenet", "depth": 16, "growth_rate": 4, "bottleneck": True, "compression": 0.5},
    "densenet memory": {
        "name": "densenet",
        "depth": 10,
        "growth_rate": 4,
        "bottleneck": True,
        "memory_efficient": True,
    },
    "pyramidnet": {"name": "pyramidnet", "depth": 8, "alpha": 10},
    "pyramidnet bottleneck": {"name": "pyramidnet", "depth": 11, "alpha": 10, "bottleneck": True, "block": "a"},
    "pyramidnet multiplicative": {"name": "pyramidnet", "depth": 8, "alpha": 2.0, "widening": "multiplicative"},
    "pyramidnet projection": {"name": "pyramidnet", "depth": 8, "alpha": 10, "shortcut": "projection", "block": "b"},
    "pyramidnet post": {"name": "pyramidnet", "depth": 14, "alpha": 10, "variant": "post", "block": "c"},
    "imagenet_resnet": {"name": "imagenet_resnet", "depth": 26, "base_width": 4},
    "imagenet_resnet D": {"name": "imagenet_resnet", "depth": 26, "base_width": 4, "tweak": "d", "stem": "imagenet"},
    "inception": {"name": "torchvision", "arch": "inception_v3", "resize": 75},
    "mobilenet": {"name": "torchvision", "arch": "mobilenet_v2", "resize": 64},
}


class Member(NamedTuple):
    """A published network and its size for `classes` classes and images of `side`; MACs in G, rounded as printed."""

    name: str
    options: dict[str, Any]
    num_params: int
    macs: str
    side: int = 32
    classes: int = 10


def _member(name: str, num_params: int, macs: str, **options: Any) -> Member:
    return Member(name, options, num_params, macs)


def _imagenet(num_params: int, macs: str, **options: Any) -> Member:
    return Member("imagenet_resnet", {**options, "stem": "imagenet"}, num_params, macs, side=224, classes=1000)


_BC = {"bottleneck": True, "compression": 0.5}

# Parameters and MACs of independent implementations (pytorchcv, timm, torchvision) that agree with the papers, and of
# the posts. Those implementations of the pre-activation bottlenecks have the stride on another convolution, with more
# multiply-adds; what the authors' has is counted by hand in test_zoo.
PUBLISHED = [
    _member("alexnet", 58_292_074, "1.182", size="large"),
    _member("alexnet", 12_417_098, "0.416", size="small"),
    _member("resnet13", 5_280_330, "0.103"),
    _member("resnet13", 2_785_354, "0.107", blocks=[2, 2, 2]),
    _member("resnet13", 6_387_018, "0.103", blocks=[1, 2, 2, 1]),
    _member("plain_cnn", 464_154, "0.0689"),
    _member("plain_cnn", 465_290, "0.0689", variant="post"),
    _member("resnet", 269_722, "0.0406", depth=20),
    _member("resnet", 272_474, "0.0408", depth=20, shortcut="B"),
    _member("resnet", 464_154, "0.0689", depth=32),
    _member("resnet", 465_290, "0.0689", depth=32, variant="post"),
    _member("resnet", 658_586, "0.0972", depth=44),
    _member("resnet", 853_018, "0.1255", depth=56),
    _member("resnet", 855_770, "0.1257", depth=56, shortcut="B"),
    _member("resnet", 1_727_962, "0.2529", depth=110),
    _member("resnet", 1_730_714, "0.2531", depth=110, shortcut="B"),
    _member("resnet", 19_421_274, "2.829", depth=1202),
    _member("resnet", 19_424_026, "2.830", depth=1202, shortcut="B"),
    _member("resnet", 10_285_722, "1.483", depth=1001, bottleneck=True),
    _member("resnet", 10_328_602, "1.488", depth=1001, bottleneck=True, shortcut="B"),
    _member("preact_resnet", 1_730_522, "0.2531", depth=110),
    _member("preact_resnet", 1_727_962, "0.2529", depth=110, shortcut="A"),
    _member("preact_resnet", 466_714, "0.0691", depth=32),
    _member("preact_resnet", 464_154, "0.0689", depth=32, shortcut="A"),
    _member("preact_resnet", 465_194, "0.0689", depth=32, shortcut="A", variant="post"),
    _member("preact_resnet", 1_703_258, "0.2445", depth=164, bottleneck=True),
    _member("preact_resnet", 10_327_706, "1.488", depth=1001, bottleneck=True),
    _member("stochastic_depth_resnet", 1_727_962, "0.2529"),
    _member("wide_resnet", 36_479_194, "5.243", depth=28, widen_factor=10, variant="post"),
    _member("densenet", 1_019_722, "0.2648", depth=40, growth_rate=12),
    _member("densenet", 6_979_642, "1.770", depth=100, growth_rate=12),
    _member("densenet", 27_249_082, "6.889", depth=100, growth_rate=24),
    _member("densenet", 769_162, "0.2879", depth=100, growth_rate=12, **_BC),
    _member("densenet", 15_324_406, "5.419", depth=250, growth_rate=24, **_BC),
    _member("densenet", 25_624_430, "9.302", depth=190, growth_rate=40, **_BC),
    _member("pyramidnet", 1_772_706, "0.404", depth=110, alpha=48),
    _member("pyramidnet", 3_904_446, "0.772", depth=110, alpha=84),
    _member("pyramidnet", 28_485_477, "4.718", depth=110, alpha=270),
    _member("pyramidnet", 1_762_206, "0.334", depth=110, alpha=4.75, widening="multiplicative"),
    _member("pyramidnet", 3_876_547, "0.564", depth=110, alpha=8, widening="multiplicative"),
    _member("pyramidnet", 28_361_693, "2.647", depth=110, alpha=27, widening="multiplicative"),
    _member("pyramidnet", 1_715_442, "0.388", depth=164, alpha=48, bottleneck=True),
    _member("pyramidnet", 3_757_494, "0.745", depth=164, alpha=84, bottleneck=True),
    _member("pyramidnet", 27_216_021, "4.570", depth=164, alpha=270, bottleneck=True),
    _member("pyramidnet", 26_752_702, "4.520", depth=200, alpha=240, bottleneck=True),
    _member("pyramidnet", 26_969_046, "4.583", depth=236, alpha=220, bottleneck=True),
    _member("pyramidnet", 26_210_842, "4.489", depth=272, alpha=200, bottleneck=True),
    _member("pyramidnet", 1_558_881, "0.361", depth=110, alpha=48, variant="post"),
    _member("imagenet_resnet", 23_520_842, "1.222", depth=50),
    _member("imagenet_resnet", 23_520_842, "1.298", depth=50, tweak="b"),
    _member("imagenet_resnet", 23_547_754, "1.325", depth=50, tweak="c"),
    _member("imagenet_resnet", 23_547_754, "1.325", depth=50, tweak="d"),
    _member("imagenet_resnet", 58_183_530, "3.750", depth=152, tweak="d"),
    _imagenet(25_557_032, "3.858", depth=50),
    _imagenet(25_557_032, "4.089", depth=50, tweak="b"),
    _imagenet(25_576_264, "4.329", depth=50, tweak="c"),
    _imagenet(25_576_264, "4.329", depth=50, tweak="d"),
    _imagenet(60_212_040, "11.753", depth=152, tweak="d"),
]
