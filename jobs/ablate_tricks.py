"""Ablate the tricks of He et al. 2019 (arXiv:1812.01187) around any recipe: which of them help here, and how surely.

    python jobs/ablate_tricks.py --smoke                               # 13 rows, tiny, on synthetic images
    python jobs/ablate_tricks.py --data FOLDER --teacher STUDY         # each row has all tricks above it
    python jobs/ablate_tricks.py wide_resnet_16_8 --one-at-a-time      # the baseline with each trick alone
    python jobs/ablate_tricks.py --set batch_size=256 mixup=0.4        # the baseline's batch; the value of a trick

The baseline is the recipe with every trick off: its network, batch and rate, steps at 1/4, 1/2 and 3/4, fp32. Then:
large batch, linear scaling, warm-up, zero gamma, no bias decay, low precision, cosine, label smoothing, mixup,
distillation, tweaks B, C, D; "n/a" where the network or a missing --teacher does not allow one.

Alone, linear scaling does nothing to the baseline's batch and warm-up is for large rates: with --one-at-a-time linear
scaling comes with the large batch and warm-up with both, and each is compared with the row that lacks only itself, as
are tweaks C and D, which contain B. All rows have the same seeds (5, --seeds), and differences are paired by seed. A
verdict is a paired t-test, Holm-corrected for the whole table. Cost: 14 rows × seeds trainings.
"""

from cifarray.cli.ablate import ablate

if __name__ == "__main__":
    ablate(default="imagenet_resnet_fast")
