"""torchvision's augmentation policies with one draw per image: TrivialAugmentWide and RandAugment.

The library draws once for a whole batch, so each image is changed by itself, on the CPU whatever the device. As a PIL
image, which takes a third of a tensor's time at this size and is what the papers' code works on.
Not here: what is done before and after (`augment`).
"""

import torch
from PIL import Image
from torch import Tensor


class Policy:
    """(B, H, W, 3) uint8 images, each changed by what its draw (B,) in [0, 2**32) seeds torch's CPU generator for."""

    def __init__(self, name: str) -> None:
        """`name`: trivial_augment or rand_augment."""
        # Takes a second to import, which only those pay who need it.
        from torchvision.transforms import v2

        self.transform = v2.TrivialAugmentWide() if name == "trivial_augment" else v2.RandAugment(2, 9)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """On the device of `images`; torch's generators are left as they were."""
        changed = []
        # None of a GPU's generators is used: `torch.manual_seed` would seed them too.
        with torch.random.fork_rng(devices=[]):
            for pixels, seed in zip(images.cpu().numpy(), draws.tolist(), strict=True):
                torch.default_generator.manual_seed(seed)
                changed.append(self.transform(Image.fromarray(pixels)).tobytes())
        return torch.frombuffer(bytearray(b"".join(changed)), dtype=torch.uint8).view(images.shape).to(images.device)
