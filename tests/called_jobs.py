"""Jobs called in the process of the tests."""

import importlib

import pytest

from cifarray.cli.tune import tune
from search_spaces import wrn


def run(command: str, *arguments: str) -> object:
    """Exit code of a job; `tune` is that of WideResNets."""
    with pytest.raises(SystemExit) as exit_:
        if command == "tune":
            tune(wrn.space, wrn.smoke, arguments)
        else:
            getattr(importlib.import_module(f"cifarray.cli.{command}"), command)(arguments)
    return exit_.value.code
