"""What `ray up` does at AWS, by Ray's own code, and what is there then; the AWS is moto's, in this very process.

    python -m cifarray.cluster_file.rehearsal cluster.yaml launched.json

Launches the head and one node of each other type. Not here: SSH, installation, starting Ray; hiding its user's own
profile, proxies and home (`launch`, which runs this).
"""

import contextlib
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cifarray.cluster_file import checks


class Volume(BaseModel, frozen=True):
    size: int
    """GiB."""
    kind: str
    outlives_node: bool


class Node(BaseModel, frozen=True):
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


class Rule(BaseModel, frozen=True):
    """What a security group lets in."""

    group: str
    protocol: str
    """-1: all of them."""
    ports: str
    source: str
    """Address ranges, or another group's name."""


class Launched(BaseModel, frozen=True):
    nodes: tuple[Node, ...]
    rules: tuple[Rule, ...]
    left_out: tuple[str, ...]
    """Of `OWN`, what the file has."""


OWN = ("SubnetIds", "SecurityGroupIds", "NetworkInterfaces")
"""Fields of nodes with ids of things that only their user's AWS has; the loopback's own network takes their place."""


def main(path: Path, answer: Path) -> None:
    import boto3

    config = checks.read(path)
    left_out = _leave_out(config)
    if "ssh_private_key" in config["auth"]:
        # Ray hashes what is in it, and nobody logs in; this home has no keys.
        config["auth"]["ssh_private_key"] = os.devnull
    region = config["provider"]["region"]
    with _loopback_aws() as endpoint:
        os.environ["AWS_ENDPOINT_URL"] = endpoint
        _make_profiles(boto3.client("iam", region), config)
        _launch(config)
        answer.write_text(_describe(boto3.client("ec2", region), left_out).model_dump_json())


def _leave_out(config: dict[str, Any]) -> tuple[str, ...]:
    """Takes `OWN` out of the node types, and calls profiles by their name; returns the fields that were there."""
    nodes = [node_type["node_config"] for node_type in config["available_node_types"].values()]
    for node in nodes:
        if "Arn" in node.get("IamInstanceProfile", {}):
            node["IamInstanceProfile"] = {"Name": node["IamInstanceProfile"]["Arn"].rpartition("/")[2]}
    left_out = tuple(field for field in OWN if any(field in node for node in nodes))
    for node in nodes:
        for field in left_out:
            node.pop(field, None)
    return left_out


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


def _launch(config: dict[str, Any]) -> None:
    from ray.autoscaler import tags
    from ray.autoscaler._private.commands import _bootstrap_config
    from ray.autoscaler._private.providers import _get_node_provider
    from ray.autoscaler._private.util import hash_launch_conf

    # The cache is a file that a later `ray up` would take for the true AWS's answers.
    config = _bootstrap_config(config, no_config_cache=True)
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for name, node_type in config["available_node_types"].items():
        is_head = name == config["head_node_type"]
        kind = tags.NODE_KIND_HEAD if is_head else tags.NODE_KIND_WORKER
        node_config = {**(config["head_node"] if is_head else {}), **node_type["node_config"]}
        provider.create_node(
            node_config,
            {
                tags.TAG_RAY_NODE_KIND: kind,
                tags.TAG_RAY_NODE_NAME: f"ray-{config['cluster_name']}-{kind}",
                tags.TAG_RAY_NODE_STATUS: tags.STATUS_UNINITIALIZED,
                tags.TAG_RAY_USER_NODE_TYPE: name,
                tags.TAG_RAY_LAUNCH_CONFIG: hash_launch_conf(node_config, config["auth"]),
            },
            1,
        )


def _make_profiles(iam: Any, config: dict[str, Any]) -> None:
    """The instance profiles that the file names, as its user has made them (docs/clusters.md)."""
    nodes = [node_type["node_config"] for node_type in config["available_node_types"].values()]
    for profile in sorted({node["IamInstanceProfile"]["Name"] for node in nodes if "IamInstanceProfile" in node}):
        iam.create_instance_profile(InstanceProfileName=profile)
        iam.create_role(RoleName=profile, AssumeRolePolicyDocument=json.dumps({}))
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=profile)


def _describe(ec2: Any, left_out: tuple[str, ...]) -> Launched:
    volumes = {volume["VolumeId"]: volume for volume in ec2.describe_volumes()["Volumes"]}
    instances = [each for group in ec2.describe_instances()["Reservations"] for each in group["Instances"]]
    used = {group["GroupId"] for instance in instances for group in _groups(instance)}
    groups = {
        group["GroupId"]: group for group in ec2.describe_security_groups(GroupIds=sorted(used))["SecurityGroups"]
    }
    return Launched(
        nodes=tuple(_node(instance, volumes) for instance in instances),
        rules=tuple(rule for group in groups.values() for rule in _rules(group, groups)),
        left_out=left_out,
    )


def _groups(instance: dict[str, Any]) -> list[dict[str, str]]:
    return [group for interface in instance["NetworkInterfaces"] for group in interface["Groups"]]


def _node(instance: dict[str, Any], volumes: dict[str, Any]) -> Node:
    tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
    profile = instance.get("IamInstanceProfile")
    return Node(
        node_type=tags["ray-user-node-type"],
        instance_type=instance["InstanceType"],
        market=instance.get("InstanceLifecycle", "on-demand"),
        image=instance["ImageId"],
        profile=profile["Arn"].rpartition("/")[2] if profile else None,
        key=instance.get("KeyName"),
        volumes=tuple(_volume(device["Ebs"], volumes) for device in instance["BlockDeviceMappings"]),
        groups=tuple(sorted({group["GroupName"] for group in _groups(instance)})),
    )


def _volume(ebs: dict[str, Any], volumes: dict[str, Any]) -> Volume:
    volume = volumes[ebs["VolumeId"]]
    return Volume(size=volume["Size"], kind=volume["VolumeType"], outlives_node=not ebs["DeleteOnTermination"])


def _rules(group: dict[str, Any], groups: dict[str, Any]) -> Iterator[Rule]:
    for permission in group["IpPermissions"]:
        first, last = permission.get("FromPort", -1), permission.get("ToPort", -1)
        ports = "all" if first == -1 else str(first) if first == last else f"{first}-{last}"
        sources = [each["CidrIp"] for each in permission["IpRanges"]]
        sources += [each["CidrIpv6"] for each in permission.get("Ipv6Ranges", [])]
        ids = [pair["GroupId"] for pair in permission["UserIdGroupPairs"]]
        sources += [groups[each]["GroupName"] if each in groups else each for each in ids]
        for source in sources:
            yield Rule(group=group["GroupName"], protocol=permission["IpProtocol"], ports=ports, source=source)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
