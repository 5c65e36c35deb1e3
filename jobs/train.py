"""Train one recipe as a study of one trial, or of N trials with `--seeds N`.

python jobs/train.py                                     # wide_resnet_fast: WRN-16-1, 5 epochs
python jobs/train.py wide_resnet_28_10 --seeds 3         # the paper's network, mean ± deviation of 3 seeds
"""

from cifarray.cli.train import train

if __name__ == "__main__":
    train()
