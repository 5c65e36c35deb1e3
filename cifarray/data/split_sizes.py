"""How many images are trained on and held out: known from their number alone, without torch.

Not here: which ones (`splits`).
"""

from cifarray.data.errors import SplitError


def split_sizes(total: int, validation: float, limit: int | None) -> tuple[int, int]:
    """Images (to train on, held out) of `total`, as `splits.split_indices` takes them.

    Raises SplitError if nothing is left to train on.
    """
    held_out = max(1, round(validation * total)) if 0 < validation < 1 else int(validation)
    if held_out >= total:
        raise SplitError(
            f"data.validation {validation:g} leaves none of {total} images to train on: choose at most {total - 1}"
        )
    left = total - held_out
    return (left if limit is None else min(limit, left)), held_out
