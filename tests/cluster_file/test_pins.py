"""Every node has the same versions: those of constraints.txt, and the image's Ray where there is an image."""

import json
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cifarray.cluster_file.__main__ import pins
from tests.cluster_file.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINNED = {
    canonicalize_name(name): version
    for name, version in (line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
}


def requirements():
    extras = PROJECT["optional-dependencies"]
    return [Requirement(each) for each in PROJECT["dependencies"] + extras["head"] + extras["aws"] + extras["gcp"]]


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_a_direct_dependency_is_pinned_within_its_range(requirement):
    version = PINNED[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


@pytest.mark.parametrize("name", ["numpy", "grpcio", "protobuf", "sqlalchemy", "nvidia-nccl-cu13", "botocore"])
def test_what_they_pull_in_is_pinned_too(name):
    assert name in PINNED


@pytest.mark.parametrize("name", ["pytest", "ruff", "mypy", "moto", "cifarray"])
def test_what_no_node_needs_is_not(name):
    assert name not in PINNED


def test_pins_are_what_pip_would_install_from_an_index(tmp_path):
    """The project itself is installed from its folder (pip's report: `dir_info`)."""
    report = tmp_path / "report.json"
    installs = [
        {"metadata": {"name": "Ray", "version": "2.60.0"}, "download_info": {"archive_info": {}}},
        {"metadata": {"name": "cifarray", "version": "0.1.0"}, "download_info": {"dir_info": {"editable": True}}},
        {"metadata": {"name": "click", "version": "8.5.1"}, "download_info": {"archive_info": {}}},
    ]
    report.write_text(json.dumps({"install": installs}))
    assert pins(report) == ["click==8.5.1", "ray==2.60.0"]


def test_every_node_runs_one_version_of_ray():
    job = yaml.safe_load((ROOT / "clusters/kuberay.yaml").read_text())
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == PINNED["ray"]
    assert f"FROM rayproject/ray:{PINNED['ray']}-py" in (ROOT / "clusters/kuberay.Dockerfile").read_text()
