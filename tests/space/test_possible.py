"""Ranges some of whose values can be nothing become those that can."""

import pytest

from cifarray import recipes
from cifarray.space.domains import Range, choice, integers, log_uniform
from cifarray.space.possible import possible
from cifarray.space.space import SearchSpace


def narrowed(recipe, workers=1, **domains):
    paths = {path.replace("__", "."): domain for path, domain in domains.items()}
    found = possible(SearchSpace("toy", recipes.get(recipe), paths), workers)
    return {path: str(domain) for path, domain in found.space.domains.items()}, found.notes


@pytest.mark.parametrize(
    ("recipe", "low", "high", "depths"),
    [
        ("wide_resnet_fast", 10, 28, "{10, 16, 22, 28}"),  # 6n + 4, arXiv:1605.07146 §2
        ("resnet_fast", 10, 40, "{14, 20, 26, 32, 38}"),  # 6n + 2, arXiv:1512.03385 §4.2
        ("plain_cnn_fast", 8, 20, "{8, 14, 20}"),
        ("stochastic_depth_fast", 8, 20, "{8, 14, 20}"),
        ("preact_resnet_1001", 100, 120, "{101, 110, 119}"),  # 9n + 2 with bottlenecks, arXiv:1603.05027
        ("densenet_40_12", 38, 44, "{40, 43}"),  # 3n + 4, arXiv:1608.06993 §3
        ("densenet_bc_100_12", 90, 110, "{94, 100, 106}"),
        ("resnet_50", 20, 160, "{26, 50, 101, 152}"),
    ],
)
def test_a_range_of_depths_is_those_that_make_a_network(recipe, low, high, depths):
    domains, notes = narrowed(recipe, model__depth=integers(low, high))
    assert domains == {"model.depth": depths}
    (note,) = notes
    assert note.startswith(f"model.depth {low}..{high} is drawn from {depths}")


def test_every_value_is_one_of_which_the_builder_makes_a_network():
    from cifarray.models import build

    for recipe in ("wide_resnet_fast", "densenet_40_12", "pyramidnet_fast", "resnet_fast"):
        base = recipes.get(recipe)
        space = possible(SearchSpace("toy", base, {"model.depth": integers(7, 31)}), 1).space
        depths = set(space.domains["model.depth"].values)
        options = {name: value for name, value in base.model.options.items() if name != "depth"}
        for depth in range(7, 32):
            if depth in depths:
                build(base.model.name, 10, depth=depth, **options)
            else:
                with pytest.raises(ValueError, match=f"model.depth {depth}"):
                    build(base.model.name, 10, depth=depth, **options)


def test_depths_that_hang_on_another_field_are_those_of_each_of_its_values():
    domains, _ = narrowed(
        "resnet_fast", model__depth=integers(10, 40), model__bottleneck=choice(False, True), epochs=choice(1, 2)
    )
    assert domains["model.depth"] == (
        "{14, 20, 26, 32, 38} where model.bottleneck is False; {11, 20, 29, 38} where model.bottleneck is True"
    )
    assert list(domains)[-1] == "model.depth", "a domain comes behind the field on which it hangs"


def test_depths_that_hang_on_several_fields_are_those_that_all_allow():
    """6n + 2 and 9n + 2, of the post's variant with a block less."""
    domains, _ = narrowed(
        "pyramidnet_fast",
        model__depth=integers(8, 60),
        model__bottleneck=choice(False, True),
        model__variant=choice("paper", "post"),
    )
    assert domains["model.depth"] == "{20, 38, 56}"


def test_a_range_without_a_network_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"model\.depth 11\.\.15 has no values that make a wide_resnet \(6n \+ 4\): .* 10 or 16"
    ):
        narrowed("wide_resnet_fast", model__depth=integers(11, 15))


def test_a_range_of_batch_sizes_is_those_that_the_workers_share_equally():
    domains, notes = narrowed("wide_resnet_fast", 4, batch_size=integers(62, 76))
    assert domains == {"batch_size": "{64, 68, 72, 76}"}
    assert notes == ("batch_size 62..76 is drawn from {64, 68, 72, 76}: 4 workers share a batch equally",)
    assert narrowed("wide_resnet_fast", 1, batch_size=integers(62, 76)) == ({"batch_size": "62..76"}, ())


def test_what_nothing_is_known_of_stays():
    assert narrowed("torchvision_fast", optimizer__lr=log_uniform(0.1, 1), epochs=integers(1, 9))[1] == ()
    assert narrowed("wide_resnet_fast", model__depth=choice(10, 11))[0] == {"model.depth": "{10, 11}"}


def test_a_logarithmic_range_says_that_its_values_are_as_likely():
    domains, notes = narrowed("wide_resnet_fast", model__depth=Range(10, 22, log=True, integer=True))
    assert domains == {"model.depth": "{10, 16, 22}"}
    assert "each as likely" in notes[0]
