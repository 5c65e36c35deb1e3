"""The search spaces that come with the project: every corner is a network, and a branch brings its own fields alone."""

import random

import pytest

from cifarray import recipes
from cifarray.errors import StudyError
from cifarray.recipes import RECIPES
from cifarray.space.domains import cases, choice, integers, uniform
from cifarray.space.sizes import Sizes
from cifarray.space.space import SearchSpace
from cifarray.study.study import Study
from search_spaces import densenet, imagenet_resnet, lr_schedules, pyramidnet, tricks, wrn

SPACES = {
    "wrn": wrn.space,
    "wrn smoke": wrn.smoke,
    "pyramidnet": pyramidnet.space,
    "pyramidnet smoke": pyramidnet.smoke,
    "densenet": densenet.space,
    "densenet smoke": densenet.smoke,
    "imagenet_resnet": imagenet_resnet.space,
    "imagenet_resnet smoke": imagenet_resnet.smoke,
}


def draws(space, count, seed=0):
    source = random.Random(seed)
    return [space.tree.point(lambda name, domain: domain.draw(source)) for _ in range(count)]


@pytest.mark.parametrize("name", SPACES)
def test_every_corner_is_a_network(name):
    Sizes(SPACES[name], 10).check_corners()


@pytest.mark.parametrize("recipe", RECIPES)
def test_schedules_can_be_searched_around_every_recipe(recipe):
    space = lr_schedules.space(recipe, recipes.get(recipe))
    for params in draws(space, 20):
        schedule = space.config(params).schedule
        own = {
            "multistep": {"schedule.milestones", "schedule.gamma"},
            "cosine": {"schedule.warmup"},
            "one_cycle": {"schedule.pct_start"},
        }[schedule.name]
        assert set(params) == own | {"schedule.name", "optimizer.lr"}


@pytest.mark.parametrize("recipe", RECIPES)
def test_tricks_can_be_searched_around_every_recipe(recipe):
    space = tricks.space(recipe, recipes.get(recipe))
    side = space.base.data.image_size
    for params in draws(space, 20):
        config = space.config(params)
        assert ("schedule.pct_start" in params) == (config.schedule.name == "one_cycle")
        assert ("schedule.milestones" in params) == (config.schedule.name == "multistep")
        assert ("schedule.warmup" in params) == (config.schedule.name != "one_cycle")
        assert ("mixup" in params) == ("cutmix" in params) == (config.task == "single_label")
        assert config.data.cutout <= side / 2


def test_pyramids_alpha_has_values_of_its_own_for_each_widening():
    for params in draws(pyramidnet.space, 100):
        assert (params["model.alpha"] >= 48) == (params["model.widening"] == "additive")


def test_only_densenets_with_bottlenecks_compress():
    for params in draws(densenet.space, 50):
        assert ("model.compression" in params) == params["model.bottleneck"]


def test_no_network_beyond_the_limit_becomes_a_trial():
    """WRN-16-1 has 175,066 parameters, WRN-16-2 has 691,674 (arXiv:1605.07146, table 4 prints 0.2M and 0.7M)."""
    space = SearchSpace("small", wrn.space.base, wrn.space.domains, max_params=500_000)
    sizes = Sizes(space, 10)
    allowed = [params for params in draws(space, 300) if sizes.allowed(params)]
    assert {params["model.widen_factor"] for params in allowed} == {1}
    assert all(sizes.of(space.config(params).to_dict()).num_params <= 500_000 for params in allowed)


def test_a_network_is_counted_at_the_side_that_it_sees():
    sizes = Sizes(wrn.space, 10)
    stored, cropped, grid = ({"image_size": 64}, {"image_size": 64, "crop_size": 32}, {"image_size": 16, "grid": 2})
    macs = [
        sizes.of({**wrn.space.base.to_dict(), "data": data}).macs
        for data in (stored, cropped, grid, {"image_size": 32})
    ]
    assert macs[1] == macs[2] == macs[3] < macs[0]


def test_a_space_that_nothing_satisfies_names_its_smallest_network():
    space = SearchSpace("none", wrn.smoke.base, wrn.smoke.domains, max_params=1000)
    with pytest.raises(StudyError, match="'none' is within max_params 1,000: the smallest of its corners has 77,"):
        Sizes(space, 10).check_corners()


def test_a_range_of_whole_numbers_of_which_some_make_no_network_is_refused():
    """Of 10 to 16 only the ends are 6n + 4 (arXiv:1605.07146, §2)."""
    with pytest.raises(StudyError, match=r"model.depth 11 is not 6n \+ 4"):
        Sizes(wrn.smoke.vary({"model.depth": integers(10, 16)}), 10).check_networks()
    Sizes(wrn.smoke.vary({"model.widen_factor": integers(1, 3)}), 10).check_networks()


def test_parameters_alone_decide_where_multiply_adds_are_not_limited(monkeypatch):
    space = SearchSpace("small", wrn.space.base, wrn.space.domains, max_params=500_000)
    sizes = Sizes(space, 10)
    monkeypatch.setattr(sizes, "of", lambda config: pytest.fail("multiply-adds were counted"))
    assert {params["model.widen_factor"] for params in draws(space, 40) if sizes.allowed(params)} == {1}


def study_of(space, tmp_path):
    return Study(space.name, space, num_trials=4, storage=str(tmp_path), tracking_uri="sqlite:///unused.db")


def test_zero_gamma_is_searched_with_the_tweaks(tmp_path):
    points = list(study_of(imagenet_resnet.space, tmp_path).space.grid())
    assert len(points) == 16
    assert sum(imagenet_resnet.space.config(point).init.zero_gamma for point in points) == 8


@pytest.mark.parametrize(
    ("recipe", "domains", "message"),
    [
        # A corner is enough, also one that only some networks have.
        ("wide_resnet_fast", {"init.zero_gamma": choice(False, True)}, "zero_gamma true .*WideResNet end in a conv"),
        (
            "pyramidnet_fast",
            {"model.block": choice("d", "a"), "init.zero_gamma": choice(False, True).when("model.block", "a")},
            "init.zero_gamma true .*those of PyramidNet end in a convolution.*model.block c or d",
        ),
        ("densenet_fast", {"stochastic_depth": uniform(0.0, 0.5)}, "stochastic_depth 0.5 .*DenseNet has none"),
        (
            "stochastic_depth_fast",
            {"stochastic_depth": choice(0.0, 0.2)},
            "stochastic_depth 0.2 .* has its own: .*model.death_rate",
        ),
    ],
)
def test_what_a_network_cannot_be_given_is_refused_before_any_trial(recipe, domains, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        study_of(SearchSpace("toy", recipes.get(recipe), domains), tmp_path)


def test_what_is_switched_on_for_all_recipes_of_a_comparison_must_suit_all(tmp_path):
    both = {name: recipes.get(name) for name in ("resnet_fast", "linear")}
    compared = SearchSpace("both", both["resnet_fast"], {"recipe": choice(*both)}, both)
    for field in ({"init.zero_gamma": True}, {"stochastic_depth": 0.2}):
        with pytest.raises(ValueError, match="Linear has none that are known here: set it to"):
            study_of(compared.pin(field), tmp_path)


def test_where_a_condition_keeps_it_to_networks_that_can_it_may_vary(tmp_path):
    domains = {
        "model.block": choice("c", "b"),
        "init.zero_gamma": cases("model.block", {"c": choice(False, True), "b": choice(False)}),
        "stochastic_depth": uniform(0.0, 0.5),
    }
    assert study_of(SearchSpace("toy", recipes.get("pyramidnet_fast"), domains), tmp_path)
