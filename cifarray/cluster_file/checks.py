"""Is a cluster file right, as far as this machine can tell: its fields, by Ray's own schema, and the files it names.

Not here: whether AWS would launch it (`launch`).
"""

import contextlib
import copy
import difflib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TOKEN = "~/.ray/auth_token"


class ClusterFileError(ValueError):
    """A cluster file that `ray up` would refuse or that would not work, in one sentence."""


def read(path: Path) -> dict[str, Any]:
    """The file's top-level keys. Raises ClusterFileError if it cannot be read or is no YAML mapping."""
    try:
        config = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ClusterFileError(f"{path} cannot be read ({error.strerror}): give FILE=… a cluster file") from error
    except yaml.YAMLError as error:
        raise ClusterFileError(f"{path} is not YAML ({one_line(error)}): correct that line") from error
    if not isinstance(config, dict):
        raise ClusterFileError(f"{path} has no top-level keys: begin with cluster_name and provider, as cluster.yaml")
    return config


def check(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The file with Ray's defaults, as Ray goes on with it; `config` stays as it is.

    name: what the file is called in messages. Raises ClusterFileError for the first thing that is wrong.
    """
    import click
    from jsonschema import Draft7Validator
    from ray.autoscaler._private.util import prepare_config, validate_config

    # The field that is wrong says more than the branch that it makes wrong.
    for error in sorted(Draft7Validator(_schema()).iter_errors(config), key=lambda error: -len(error.path)):
        raise ClusterFileError(f"{name}: {_sentence(error)}")
    for problem in missing_files(config):
        raise ClusterFileError(f"{name}: {problem}")
    try:
        # Ray warns of every mount that is a file, for the sake of containers that there are none of.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            prepared: dict[str, Any] = prepare_config(copy.deepcopy(config))
            validate_config(prepared)
    except (ValueError, KeyError, RuntimeError, NotImplementedError, click.ClickException) as error:
        raise ClusterFileError(f"{name} is refused by Ray ({one_line(error)}): correct that") from error
    return prepared


def one_line(error: object) -> str:
    return " ".join(str(error).split())


def _schema() -> dict[str, Any]:
    import ray.autoscaler

    text = (Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text()
    schema: dict[str, Any] = json.loads(text)
    return schema


def _sentence(error: Any) -> str:
    """What a jsonschema error says, for somebody who edits YAML."""
    place = ".".join(map(str, error.absolute_path))
    if error.validator != "additionalProperties":
        return f"{place or 'the file'} is not as Ray wants it ({one_line(error.message)}): correct it"
    fields = list(error.schema.get("properties", {}))
    unknown = next(field for field in error.instance if field not in fields)
    nearest = difflib.get_close_matches(unknown, fields, n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else f"take it out; Ray knows {', '.join(sorted(fields))}"
    return f"{unknown!r} is no field of {place or 'a cluster file'}: {remedy}"


def missing_files(config: dict[str, Any]) -> Iterator[str]:
    """One sentence for each local file or folder that Ray would need and that is not there.

    Relative paths are from where `ray up` is typed, so from the current folder.
    """
    key = config.get("auth", {}).get("ssh_private_key")
    if key and not Path(key).expanduser().is_file():
        yield (
            f"auth.ssh_private_key {key} does not exist: Ray logs in to nodes with that file; name the private key "
            "that they know, or make one with ssh-keygen"
        )
    for target, source in (config.get("file_mounts") or {}).items():
        if Path(source).expanduser().exists():
            continue
        if source == TOKEN:
            yield (
                f"file_mounts {target}: the token {source} does not exist: every node needs the same one; make it with "
                "ray get-auth-token --generate"
            )
        else:
            yield (
                f"file_mounts {target}: {source} does not exist in {Path.cwd()}: it is copied to every node; type the "
                "command in the project's folder, or take the line out"
            )


def placeholders(text: str) -> list[str]:
    """The words of a cluster file that stand for what its user fills in (YOUR-BUCKET), each once."""
    return sorted(set(re.findall(r"\bYOU(?:R-[A-Z]+)?\b", text)))
