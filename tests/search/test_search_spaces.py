"""The search spaces that come with the project: every corner is a network, and a branch brings its own fields alone."""

import random

import pytest

from cifarray import recipes
from cifarray.recipes import RECIPES
from cifarray.search.plan import StudyError
from cifarray.search.sizes import Sizes
from cifarray.search.space import SearchSpace
from search_spaces import densenet, imagenet_resnet, lr_schedules, pyramidnet, wrn

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
    return [space.point(lambda name, domain: domain.draw(source)) for _ in range(count)]


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


def test_a_space_that_nothing_satisfies_names_its_smallest_network():
    space = SearchSpace("none", wrn.smoke.base, wrn.smoke.domains, max_params=1000)
    with pytest.raises(StudyError, match="'none' is within max_params 1,000: the smallest of its corners has 77,"):
        Sizes(space, 10).check_corners()
