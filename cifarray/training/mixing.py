"""Mixup and CutMix: every image of a batch is mixed with another one of the same global batch, and so are the targets.

What is drawn (partner, λ, box) is a function of seed, epoch and row, for each image by itself, so that neither the
number of workers nor a resumption changes it. Not here: the loss of soft targets (`task`).
"""

import torch
from scipy.special import betaincinv
from torch import Tensor

from cifarray.data import Drawn, below

_QUANTILES = 4096
"""λ is one of so many quantiles of its distribution."""


class Mixing:
    """`mixup` and `cutmix` are the α of Beta(α, α), 0 for none; with both, a fair coin chooses for each image."""

    def __init__(
        self, mixup: float, cutmix: float, seed: int, device: torch.device, num_rows: int | None = None
    ) -> None:
        """`num_rows` as in `Drawn`."""
        self.seed = seed
        self.order, self.mixtures = Drawn("mixing partner", 1, num_rows), Drawn("mixing", 4, num_rows)
        self.mixup = _beta_quantiles(mixup).to(device) if mixup else None
        self.cutmix = _beta_quantiles(cutmix).to(device) if cutmix else None

    def begin_epoch(self, epoch: int) -> None:
        """As `Drawn.begin_epoch`."""
        self.order.begin_epoch(self.seed, epoch)
        self.mixtures.begin_epoch(self.seed, epoch)

    def partners(self, rows: Tensor, epoch: int) -> Tensor:
        """Positions (B,) in the global batch `rows` (B,): a permutation of it, by which image i gets its partner."""
        return self.order(self.seed, epoch, rows)[:, 0].argsort(stable=True)

    def __call__(self, images: Tensor, others: Tensor, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) mixed with `others` of the same shape, in their memory layout, and λ (B,) float32.

        λ is the share of `images` in the mixture: in mixup of every pixel, in CutMix of the area, after the box was cut
        off at the border. `rows` (B,) are those of `images`, on the same device.
        """
        quantile, coin, center_y, center_x = self.mixtures(self.seed, epoch, rows).unbind(1)
        quantile = below(quantile, _QUANTILES)
        mixtures = []
        if self.mixup is not None:
            lam = self.mixup[quantile]
            mixtures.append((torch.lerp(others, images, lam[:, None, None, None]), lam))
        if self.cutmix is not None:
            height, width = images.shape[2:]
            boxes = _boxes(center_y, center_x, self.cutmix[quantile], height, width)
            mixtures.append((torch.where(boxes[:, None], others, images), 1 - boxes.float().mean(dim=(1, 2))))
        if len(mixtures) == 1:
            return mixtures[0]
        (blended, share), (pasted, area) = mixtures
        heads = below(coin, 2) == 1
        return torch.where(heads[:, None, None, None], pasted, blended), torch.where(heads, area, share)


def mixed_targets(labels: Tensor, others: Tensor, lam: Tensor, num_classes: int) -> Tensor:
    """(B, num_classes) float32: λ for the image's own label (B,), the rest for its partner's."""
    targets = torch.zeros(len(labels), num_classes, device=labels.device)
    targets.scatter_add_(1, labels[:, None], lam[:, None])
    return targets.scatter_add_(1, others[:, None], 1 - lam[:, None])


def _boxes(center_y: Tensor, center_x: Tensor, lam: Tensor, height: int, width: int) -> Tensor:
    """(B, height, width) bool: boxes of 1 − λ of the area around any pixel, cut off at the border (arXiv:1905.04899,
    §3.1 and the authors' code)."""
    side = (1 - lam).sqrt()
    spans = []
    for center, size in ((center_y, height), (center_x, width)):
        middle, half = below(center, size), (size * side).long() // 2
        position = torch.arange(size, device=lam.device)
        spans.append((position >= (middle - half)[:, None]) & (position < (middle + half)[:, None]))
    rows, columns = spans
    return rows[:, :, None] & columns[:, None, :]


def _beta_quantiles(alpha: float) -> Tensor:
    """The middles of 4,096 equal shares of Beta(α, α), float32."""
    middles = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
    return torch.from_numpy(betaincinv(alpha, alpha, middles.numpy())).float()
