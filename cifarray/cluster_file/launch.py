"""What `ray up` would launch at AWS, asked back from an AWS on loopback (moto): no account, and none is reached.

Not here: that AWS and what is asked of it (`rehearsal`, a process of its own that knows nothing of its user's AWS).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cifarray.cluster_file.checks import ClusterFileError, one_line
from cifarray.cluster_file.rehearsal import Launched

HIDDEN = ("aws_", "boto_", "ray_", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""What begins so in the user's environment might lead elsewhere than to loopback."""


def launch(path: Path) -> Launched:
    """path: a file that `checks.check` took. Raises ClusterFileError for what Ray or AWS does not accept."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "launched.json")
        done = subprocess.run(
            [sys.executable, "-m", "cifarray.cluster_file.rehearsal", str(path), str(answer)],
            env=_environment(os.environ, home=folder),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
            raise ClusterFileError(f"{path} is refused at launch ({one_line(lines[-1])}): correct that")
        return Launched.model_validate_json(answer.read_text())


def _environment(outside: Mapping[str, str], home: str) -> dict[str, str]:
    """Nothing of the user's AWS, and a home where the keys that Ray makes on loopback are left behind."""
    kept = {name: value for name, value in outside.items() if not name.lower().startswith(HIDDEN)}
    keys = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback"}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**kept, **keys, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "*", "HOME": home}
