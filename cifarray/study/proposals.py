"""Points that might be tried, spread evenly or near to good ones: pure functions of (space, study seed, key).

Not here: which of them is tried (`cifarray.study.schedulers.freeze_thaw`), the searchers of the other schedulers
(`samplers`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from cifarray.space.features import Features, nearest
from cifarray.space.space import RECIPE, SearchSpace
from cifarray.study.samplers import point_key

Params = dict[str, Any]

STEPS = (0.03, 0.1, 0.3)
"""Standard deviations of a share, for neighbours that are near and not so near."""
MOVED = 0.4
"""The chance of a share to be moved; one is in any case."""


class Proposals:
    """Of one study."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.features = Features(space.tree)
        self._space, self._seed = space, seed
        self.base: Params = self._base()
        """The point of the space that is the most like its base config."""

    def spread(self, count: int, *key: int) -> list[Params]:
        """Points that fill the space evenly: a scrambled Sobol sequence through the domains (Owen 1998, "Scrambling
        Sobol' and Niederreiter–Xing points", J. Complexity 14), another one for each key."""
        if not self.features.num_shares:
            return [self._space.tree.point(lambda name, domain: None)]
        import numpy as np
        from scipy.stats import qmc

        # A sequence is balanced at powers of two.
        power = max(0, count - 1).bit_length()
        source = np.random.default_rng([self._seed, *key])
        shares = qmc.Sobol(self.features.num_shares, scramble=True, seed=source).random_base2(power)
        return [self.features.point(row) for row in shares[:count].tolist()]

    def near(self, points: Sequence[Params], count: int, *key: int) -> list[Params]:
        """Neighbours of some points, in turn: some shares are moved, and words drawn anew."""
        if not self.features.num_shares or not points:
            return []
        import numpy as np

        source = np.random.default_rng([self._seed, *key])
        parents = np.array([self.features.shares(point) for point in points])
        shares = parents[np.arange(count) % len(parents)]
        steps = np.array(STEPS)[np.arange(count) // len(parents) % len(STEPS)]
        moved = source.random(shares.shape) < MOVED
        moved[np.arange(count), source.integers(shares.shape[1], size=count)] = True
        near = shares + steps[:, None] * source.standard_normal(shares.shape)
        anew = source.random(shares.shape)
        words = self.features.words()
        near[:, words] = anew[:, words]
        # Reflected at the ends, so that these are not drawn more often than others.
        near = 1 - np.abs(1 - np.abs(near) % 2)
        return [self.features.point(row) for row in np.where(moved, near, shares).tolist()]

    def _base(self) -> Params:
        config = self._space.base.to_dict()
        point: Params = {}
        for path in self._space.domains:
            named = self._space.tree.domain_at(path, point)
            if named is not None:
                value = next(iter(self._space.recipes), None) if path == RECIPE else _value_of(config, path)
                point[path] = nearest(named[1], value)
        return point


def distinct(points: Iterable[Params]) -> list[Params]:
    """Each once, in order."""
    first: dict[str, Params] = {}
    for point in points:
        first.setdefault(point_key(point), point)
    return list(first.values())


def _value_of(config: dict[str, Any], path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
