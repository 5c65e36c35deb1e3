"""What clusters/kuberay.yaml says; whether KubeRay takes it is not tried here."""

import re
import shlex

import yaml

from cifarray.cli.flags import study_parser
from tests.cluster_file.conftest import ROOT

TEXT = (ROOT / "clusters/kuberay.yaml").read_text()
STEPS = (ROOT / "docs/clusters.md").read_text()
JOB = yaml.safe_load(TEXT)
CLUSTER = JOB["spec"]["rayClusterSpec"]
HEAD = CLUSTER["headGroupSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]


def container(group):
    (only,) = group["template"]["spec"]["containers"]
    return only


def test_it_is_a_rayjob_that_runs_the_search_and_goes():
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?", JOB["metadata"]["name"])  # KubeRay's limit: 47
    assert JOB["spec"]["shutdownAfterJobFinishes"] is True


def test_the_search_asks_for_gpus_though_no_node_with_one_lives_yet():
    python, script, *flags = shlex.split(JOB["spec"]["entrypoint"])
    assert python == "python"
    assert (ROOT / script).is_file()
    assert study_parser("").parse_args(flags).gpus_per_worker == 1


def test_start_parameters_and_variables_are_strings_as_the_api_wants():
    for group in (HEAD, WORKERS):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert all(isinstance(each["value"], str) for each in container(group).get("env", []))


def test_the_token_is_a_secrets_and_not_in_the_file():
    assert CLUSTER["authOptions"] == {"mode": "token", "secretName": "cifarray-token"}
    assert "kind: Secret" not in TEXT
    assert "kubectl create secret generic cifarray-token --from-file=auth_token=" in STEPS


def test_the_head_trains_nothing_and_workers_come_as_they_are_needed():
    assert HEAD["rayStartParams"]["num-cpus"] == "0"
    assert "nvidia.com/gpu" not in container(HEAD)["resources"]["limits"]
    assert CLUSTER["enableInTreeAutoscaling"] is True
    assert WORKERS["minReplicas"] == WORKERS["replicas"] == 0 < WORKERS["maxReplicas"]
    assert container(WORKERS)["resources"]["limits"]["nvidia.com/gpu"] == 1


def test_pods_get_what_they_ask_for_and_are_never_started_twice_as_one_node():
    for group in (HEAD, WORKERS):
        assert container(group)["resources"]["requests"] == container(group)["resources"]["limits"]
        assert group["template"]["spec"]["restartPolicy"] == "Never"


def test_all_nodes_run_one_image_in_the_projects_folder():
    assert container(HEAD)["image"] == container(WORKERS)["image"]
    assert container(HEAD)["workingDir"] == container(WORKERS)["workingDir"]
    assert f"WORKDIR {container(HEAD)['workingDir']}" in (ROOT / "clusters/kuberay.Dockerfile").read_text()
    assert f"docker build -t {container(HEAD)['image']} -f clusters/kuberay.Dockerfile ." in STEPS


def test_the_driver_is_told_where_results_images_and_mlflow_are():
    names = [each["name"] for each in container(HEAD)["env"] if not each["name"].startswith("RAY_")]
    assert names == ["CIFARRAY_STORAGE", "CIFARRAY_DATA", "MLFLOW_TRACKING_URI"]
