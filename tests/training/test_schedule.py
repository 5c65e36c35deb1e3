"""The learning rate of every step against the formula of each schedule."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cifarray.config import ScheduleConfig, TrainConfig, override
from cifarray.training.schedule import build_schedule

PEAK = 0.4
STEPS = 200


def rates(steps: int = STEPS, **values: Any) -> list[float]:
    """As the loop reads them: before each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule = build_schedule(optimizer, ScheduleConfig(**{"power": 2.0} | values), steps)
    read = []
    for _ in range(steps):
        read.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return read


def half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def one_cycle(step: int, steps: int, rising: int) -> float:
    """Up to the peak at step `rising` − 1, then down to the last step."""
    top = rising - 1
    if step <= top:
        return half_cosine(PEAK / 25, PEAK, step / top)
    return half_cosine(PEAK, PEAK / 25 / 1e4, (step - top) / (steps - 1 - top))


FORMULAS: dict[str, Callable[[int, int, int], float]] = {
    # (step since the warm-up's end, steps after it, warm-up steps)
    "constant": lambda step, steps, warmup: PEAK,
    # every quarter of all 200 steps, counted from the warm-up's end
    "step": lambda step, steps, warmup: PEAK * 0.2 ** (step // 50),
    "polynomial": lambda step, steps, warmup: PEAK * (1 - step / steps) ** 2,
    # 0.3, 0.6, 0.8 of all 200 steps, wherever the warm-up ends
    "multistep": lambda step, steps, warmup: PEAK * 0.2 ** sum(step + warmup >= at for at in (60, 120, 160)),
    "cosine": lambda step, steps, warmup: half_cosine(PEAK, 0, step / steps),
    "one_cycle": lambda step, steps, warmup: one_cycle(step, steps, round(0.3 * steps)),
}


@pytest.mark.parametrize("warmup", [0.0, 0.1])
@pytest.mark.parametrize("name", FORMULAS)
def test_rates_follow_the_formula(name: str, warmup: float) -> None:
    warmup_steps = round(warmup * STEPS)
    formula = FORMULAS[name]
    first = formula(0, STEPS - warmup_steps, warmup_steps)
    expected = [first * (step + 1) / warmup_steps for step in range(warmup_steps)]
    expected += [formula(step, STEPS - warmup_steps, warmup_steps) for step in range(STEPS - warmup_steps)]
    assert rates(name=name, warmup=warmup) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"name": "constant"}, {0: 0.4, 100: 0.4, 199: 0.4}),
        # He et al. 2019 (arXiv:1812.01187, §3.1): batch i of the first m has i · η / m.
        ({"name": "constant", "warmup": 0.1}, {0: 0.02, 1: 0.04, 9: 0.2, 19: 0.4, 20: 0.4, 199: 0.4}),
        ({"name": "multistep"}, {59: 0.4, 60: 0.08, 119: 0.08, 120: 0.016, 160: 0.0032, 199: 0.0032}),
        ({"name": "step", "gamma": 0.1}, {0: 0.4, 49: 0.4, 50: 0.04, 100: 0.004, 199: 0.0004}),
        ({"name": "step", "step_size": 0.5, "gamma": 0.5, "warmup": 0.1}, {19: 0.4, 119: 0.4, 120: 0.2, 199: 0.2}),
        ({"name": "cosine"}, {0: 0.4, 50: 0.4 * (2 + 2**0.5) / 4, 100: 0.2, 150: 0.4 * (2 - 2**0.5) / 4}),
        ({"name": "cosine", "warmup": 0.1}, {0: 0.02, 19: 0.4, 20: 0.4, 110: 0.2}),
        ({"name": "polynomial", "power": 1.0}, {0: 0.4, 50: 0.3, 100: 0.2, 199: 0.002}),
        ({"name": "polynomial", "power": 2.0, "warmup": 0.5}, {0: 0.004, 99: 0.4, 100: 0.4, 150: 0.1, 199: 0.00004}),
        ({"name": "one_cycle"}, {0: 0.016, 59: 0.4, 199: 0.4 / 25 / 1e4}),
    ],
    ids=str,
)
def test_chosen_steps_have_the_rate_of_a_hand_calculation(values: dict[str, Any], expected: dict[int, float]) -> None:
    read = rates(**values)
    assert {step: read[step] for step in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", FORMULAS)
def test_a_warm_up_of_one_step_is_none(name: str) -> None:
    assert rates(name=name, warmup=0.005) == rates(name=name)


@pytest.mark.parametrize(
    ("batch_size", "scaled", "peak"), [(256, True, 0.1), (1024, True, 0.4), (128, True, 0.05), (1024, False, 0.1)]
)
def test_linear_scaling_is_for_batches_of_256(batch_size: int, scaled: bool, peak: float) -> None:
    """η = 0.1 · b / 256 (arXiv:1812.01187, §3.1)."""
    config = override(TrainConfig(), {"batch_size": batch_size, "optimizer.linear_scaling": scaled})
    assert config.peak_lr == pytest.approx(peak)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("steps", [4, 7, 50, 1755])
def test_the_highest_rate_is_the_optimizers(name: str, warmup: float, steps: int) -> None:
    assert max(rates(steps, name=name, warmup=warmup)) == pytest.approx(PEAK, rel=1e-12)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_training_of_a_few_steps_has_a_schedule_too(name: str, warmup: float, steps: int) -> None:
    assert all(0 < rate <= PEAK for rate in rates(steps, name=name, warmup=warmup, milestones=(0.6, 0.8)))


@pytest.mark.parametrize("pct_start", [0.001, 0.1, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("steps", [3, 10, 33])
def test_one_cycle_reaches_peak_and_end_whatever_the_rounding(pct_start: float, steps: int) -> None:
    read = rates(steps, name="one_cycle", pct_start=pct_start)
    assert read[0] == pytest.approx(PEAK / 25)
    assert max(read) == pytest.approx(PEAK, rel=1e-12)
    assert read[-1] == pytest.approx(PEAK / 25 / 1e4, rel=1e-6)


@pytest.mark.parametrize("warmup", [0.0, 0.1])
@pytest.mark.parametrize("name", FORMULAS)
def test_a_schedule_restored_halfway_goes_on_bit_for_bit(name: str, warmup: float) -> None:
    undisturbed = rates(name=name, warmup=warmup)
    resumed: list[float] = []
    state: dict[str, Any] = {}
    for part in range(2):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
        schedule = build_schedule(optimizer, ScheduleConfig(name=name, warmup=warmup, power=2.0), STEPS)
        if part:
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        for _ in range(STEPS // 2):
            resumed.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    assert resumed == undisturbed


@pytest.mark.parametrize("name", FORMULAS)
def test_no_warning_even_if_the_scaler_skips_the_first_step(name: str) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schedule = build_schedule(optimizer, ScheduleConfig(name=name, warmup=0.1), STEPS)
        schedule.step()
    assert [str(warning.message) for warning in caught] == []


def test_momentum_is_not_cycled() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK, momentum=0.9)
    schedule = build_schedule(optimizer, ScheduleConfig(name="one_cycle"), 10)
    for _ in range(10):
        assert optimizer.param_groups[0]["momentum"] == 0.9
        optimizer.step()
        schedule.step()
