"""The classification networks that torchvision has, by name, known without torch.

Not here: building one (`torchvision_network`).
"""

import importlib.util
import re
from functools import cache
from pathlib import Path

_REGISTERED = re.compile(r"^@register_model\(\)$.*?^def (\w+)\(", re.MULTILINE | re.DOTALL)


@cache
def torchvision_names() -> tuple[str, ...]:
    """Sorted, as `torchvision.models.list_models` gives them; none where torchvision's files are not there to be read.

    From its source, since importing it takes torch along, and seconds.
    """
    found = importlib.util.find_spec("torchvision")
    if found is None or found.origin is None:
        return ()
    files = Path(found.origin).parent.glob("models/*.py")
    return tuple(sorted(name for file in files for name in _REGISTERED.findall(file.read_text("utf-8"))))
