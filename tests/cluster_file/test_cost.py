"""Prices are the caller's, types and counts the file's."""

import pytest

from cifarray.cluster_file.checks import ClusterFileError
from cifarray.cluster_file.cost import Hourly, hourly, parse_prices


def cluster(max_workers=10, **types):
    """name=(instance type, min, max); the first is the head's."""
    return {
        "provider": {"type": "aws"},
        "max_workers": max_workers,
        "head_node_type": next(iter(types)),
        "available_node_types": {
            name: {"node_config": {"InstanceType": instance}, "min_workers": least, "max_workers": most}
            for name, (instance, least, most) in types.items()
        },
    }


CLUSTER = cluster(head=("m", 0, 0), spot=("g", 1, 8), demand=("g", 0, 2))


def test_an_hour_costs_the_head_and_each_types_nodes():
    # head 1; at least one spot node; at most 8 spot and 2 on-demand nodes
    assert hourly(CLUSTER, {"m": 1.0, "spot": 10.0, "demand": 30.0}) == Hourly(1.0, 1 + 10, 1 + 80 + 60)


def test_a_price_of_an_instance_type_holds_for_all_types_that_have_none_of_their_own():
    assert hourly(CLUSTER, {"m": 1.0, "g": 10.0}) == Hourly(1.0, 11.0, 101.0)
    assert hourly(CLUSTER, {"m": 1.0, "g": 10.0, "demand": 30.0}).most == 1 + 80 + 60


def test_the_clusters_own_limit_holds_with_the_dearest_nodes_first():
    limited = cluster(max_workers=3, head=("m", 0, 0), spot=("g", 0, 8), demand=("g", 0, 2))
    assert hourly(limited, {"m": 1.0, "spot": 10.0, "demand": 30.0}).most == 1 + 30 + 30 + 10


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ({"m": 1.0}, r"^node type spot \(g\) has no price: .*add spot=… or g=…"),
        ({"m": 1.0, "g": 1.0, "h": 1.0}, r"^price 'h' is of nothing in the file: give one of head, spot, demand, g, m"),
    ],
)
def test_a_price_that_is_missing_or_of_nothing_is_named(prices, words):
    with pytest.raises(ClusterFileError, match=words):
        hourly(CLUSTER, prices)


def test_own_machines_have_no_price():
    with pytest.raises(ClusterFileError, match=r"leave PRICES out$"):
        hourly({"provider": {"type": "local"}, "available_node_types": {"local.cluster.node": {}}}, {"head": 1.0})


@pytest.mark.parametrize("word", ["g=cheap", "g", "=1", "g=-1", "g=nan"])
def test_a_word_that_is_no_price_is_refused(word):
    with pytest.raises(ClusterFileError, match=r"is not NAME=NUMBER: give it as in m7i.xlarge=0.20, per hour"):
        parse_prices([word])
