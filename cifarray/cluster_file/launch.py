"""What `ray up` would launch at AWS, asked back from an AWS on loopback (moto): no account, and none is reached.

Not here: Ray's own steps (`rehearsal`, a process of its own, whose environment knows loopback alone).
"""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifarray.cluster_file.checks import ClusterFileError, one_line

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback"}
HIDDEN = ("AWS_", "BOTO", "RAY_", "http_proxy", "https_proxy", "all_proxy")
"""What begins so in the user's environment might lead elsewhere than to loopback."""


@dataclass(frozen=True)
class Volume:
    size: int
    """GiB."""
    kind: str
    outlives_node: bool


@dataclass(frozen=True)
class Node:
    """An instance as EC2 describes it."""

    node_type: str
    instance_type: str
    market: str
    """spot or on-demand."""
    image: str
    profile: str | None
    key: str | None
    volumes: tuple[Volume, ...]
    groups: tuple[str, ...]
    """Names of its security groups."""


@dataclass(frozen=True)
class Rule:
    """What a security group lets in."""

    group: str
    protocol: str
    """-1: all of them."""
    ports: str
    source: str
    """Address ranges, or another group's name."""


@dataclass(frozen=True)
class Launched:
    nodes: tuple[Node, ...]
    rules: tuple[Rule, ...]


def launch(path: Path, config: dict[str, Any]) -> Launched:
    """config: what is in the file. Raises ClusterFileError for what Ray or AWS does not accept."""
    region = config["provider"]["region"]
    with _loopback_aws() as endpoint, tempfile.TemporaryDirectory() as home:
        _make_profiles(endpoint, region, config)
        environment = _environment(os.environ, endpoint, Path(home))
        done = subprocess.run(
            [sys.executable, "-m", "cifarray.cluster_file.rehearsal", str(path)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
            raise ClusterFileError(f"{path} is refused at launch ({one_line(lines[-1])}): correct that")
        return _describe(_client("ec2", endpoint, region))


@contextlib.contextmanager
def _loopback_aws() -> Iterator[str]:
    """An AWS that knows nothing yet, at an address of 127.0.0.1 while the block runs."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with contextlib.redirect_stderr(io.StringIO()):
        server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def _environment(outside: Any, endpoint: str, home: Path) -> dict[str, str]:
    """Nothing of the user's AWS, and a home where the keys that Ray makes on loopback are left behind."""
    kept = {
        name: value for name, value in outside.items() if not name.lower().startswith(tuple(map(str.lower, HIDDEN)))
    }
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    loopback = {"AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "*"}
    return {**kept, **CREDENTIALS, **nowhere, **loopback, "HOME": str(home)}


def _client(service: str, endpoint: str, region: str) -> Any:
    import boto3

    keys = {name.lower(): value for name, value in CREDENTIALS.items()}
    return boto3.client(service, region_name=region, endpoint_url=endpoint, **keys)


def _make_profiles(endpoint: str, region: str, config: dict[str, Any]) -> None:
    """The instance profiles that the file names, as its user has made them (README)."""
    iam = _client("iam", endpoint, region)
    nodes = [node_type["node_config"] for node_type in config["available_node_types"].values()]
    for profile in sorted({node["IamInstanceProfile"]["Name"] for node in nodes if "IamInstanceProfile" in node}):
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.create_role(RoleName=profile, AssumeRolePolicyDocument=json.dumps({}))
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=profile)


def _describe(ec2: Any) -> Launched:
    volumes = {volume["VolumeId"]: volume for volume in ec2.describe_volumes()["Volumes"]}
    instances = [each for group in ec2.describe_instances()["Reservations"] for each in group["Instances"]]
    used = {group["GroupId"] for instance in instances for group in _groups(instance)}
    groups = {
        group["GroupId"]: group for group in ec2.describe_security_groups(GroupIds=sorted(used))["SecurityGroups"]
    }
    return Launched(
        nodes=tuple(_node(instance, volumes) for instance in instances),
        rules=tuple(rule for group in groups.values() for rule in _rules(group, groups)),
    )


def _groups(instance: dict[str, Any]) -> list[dict[str, str]]:
    return [group for interface in instance["NetworkInterfaces"] for group in interface["Groups"]]


def _node(instance: dict[str, Any], volumes: dict[str, Any]) -> Node:
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    mapped = [device["Ebs"] for device in instance["BlockDeviceMappings"]]
    profile = instance.get("IamInstanceProfile")
    return Node(
        node_type=tags["ray-user-node-type"],
        instance_type=instance["InstanceType"],
        market=instance.get("InstanceLifecycle", "on-demand"),
        image=instance["ImageId"],
        profile=profile["Arn"].rpartition("/")[2] if profile else None,
        key=instance.get("KeyName"),
        volumes=tuple(
            Volume(
                volumes[ebs["VolumeId"]]["Size"], volumes[ebs["VolumeId"]]["VolumeType"], not ebs["DeleteOnTermination"]
            )
            for ebs in mapped
        ),
        groups=tuple(sorted({group["GroupName"] for group in _groups(instance)})),
    )


def _rules(group: dict[str, Any], groups: dict[str, Any]) -> Iterator[Rule]:
    for permission in group["IpPermissions"]:
        first, last = permission.get("FromPort", -1), permission.get("ToPort", -1)
        ports = "all" if first == -1 else str(first) if first == last else f"{first}-{last}"
        ranges = [each["CidrIp"] for each in permission["IpRanges"]]
        ranges += [each["CidrIpv6"] for each in permission.get("Ipv6Ranges", [])]
        sources = [
            groups.get(pair["GroupId"], {"GroupName": pair["GroupId"]}) for pair in permission["UserIdGroupPairs"]
        ]
        for source in [*ranges, *(each["GroupName"] for each in sources)]:
            yield Rule(group["GroupName"], permission["IpProtocol"], ports, source)
