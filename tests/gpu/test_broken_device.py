"""An assertion on the device breaks CUDA for its process: it is told as such, so that the process is ended."""

import pytest
import torch
import torch.nn.functional as F
from fresh_processes import fresh_processes

from cifarray.engine.failures import failure_of, is_sticky
from cifarray.study.faults import Fault


def break_device() -> tuple[str, bool, Fault, bool]:
    """What is raised for a label that there is not, whether it is sticky, its fault, and whether the GPU works on."""
    try:
        F.cross_entropy(torch.zeros(4, 10, device="cuda"), torch.full((4,), 99, device="cuda")).item()
    except Exception as error:
        try:
            torch.ones(1, device="cuda").item()
            works = True
        except RuntimeError:
            works = False
        return type(error).__name__, is_sticky(error), failure_of(error, None).fault, works
    return "nothing", False, Fault.RAISED, True


def test_a_device_assertion_is_sticky(gpu: torch.device) -> None:
    with fresh_processes(1) as process:
        name, sticky, fault, works = process.submit(break_device).result(timeout=120)
    assert (name, sticky, fault, works) == ("AcceleratorError", True, Fault.RAISED, False)


def test_out_of_memory_is_not(gpu: torch.device) -> None:
    with pytest.raises(torch.OutOfMemoryError) as raised:
        torch.empty(2**60, device=gpu)
    assert not is_sticky(raised.value)
    assert failure_of(raised.value, None).fault is Fault.OUT_OF_MEMORY
