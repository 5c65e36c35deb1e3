"""The steps that are measured before a study, on a real worker."""

import pytest

from cifarray.engine.preflight import measure_corners
from cifarray.engine.run import group_settings
from cifarray.space.domains import choice
from cifarray.space.sizes import Sizes

pytestmark = pytest.mark.slow


def test_the_smallest_and_the_largest_network_are_trained_and_nothing_is_left(ray_session, make_study, tmp_path):
    study = make_study("before", domains={"model.widen_factor": choice(2, 1, 4)}, cpus_per_worker=1.0)
    found = measure_corners(study, Sizes(study.space, 10), group_settings(study, study.new_state(), ""))
    assert [corner.name for corner in found] == [f"wide_resnet (depth 10, widen_factor {width})" for width in (1, 4)]
    small, large = found
    assert not small.failure + large.failure
    # 16 times the multiply-adds, but for the first layer.
    assert small.macs * 8 < large.macs
    assert small.images_per_second > large.images_per_second > 0
    assert 1e8 < small.peak_bytes < large.peak_bytes
    assert not list(tmp_path.rglob("preflight*"))
