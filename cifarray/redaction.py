"""What must not be shown is taken out of what is shown: passwords in addresses, and the keys of the environment.

Whatever is printed, logged or written of an address or of another library's error goes through `redact`. Not here: who
may read a file that holds a secret (whoever writes it sees to that).
"""

import os
import re

SECRET_VARIABLES = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
SHORTEST_SECRET = 6
"""Characters; what is shorter is in many a word."""
_STARS = "***"
_USER_AND_PASSWORD = re.compile(r"(\w[\w+.-]*://[^/\s\"'@:]*:)[^/\s\"']*@")
_TOKEN = re.compile(r"(https?://)[^/\s\"'@:]+@")
_OPTION = re.compile(r"([?&][\w.-]*(?:password|passwd|pwd|token|secret|key)[\w.-]*=)[^&\s\"')]+", re.IGNORECASE)


def redact(text: str) -> str:
    """`text` without the passwords of its addresses and without the secrets of this process's environment."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, _STARS)
    text = _USER_AND_PASSWORD.sub(rf"\1{_STARS}@", text)
    return _OPTION.sub(rf"\1{_STARS}", _TOKEN.sub(rf"\1{_STARS}@", text))


def has_password(address: str) -> bool:
    return _USER_AND_PASSWORD.search(address) is not None


def _secrets() -> set[str]:
    # A token that was read from a file ends with a newline, which the libraries' errors quote or leave out.
    values = {os.environ.get(name, "").strip() for name in SECRET_VARIABLES}
    return {value for value in values if len(value) >= SHORTEST_SECRET}
