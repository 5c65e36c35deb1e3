"""Search WideResNets: widening factor, depth, dropout, learning rate and weight decay.

    python jobs/tune_wrn.py --smoke                          # 4 trials of 2 epochs on synthetic images, a minute
    python jobs/tune_wrn.py --data FOLDER --trials 64        # CIFAR-10 from Parquet, 200 epochs a trial, ASHA
    ray job submit -- python jobs/tune_wrn.py                # on a cluster

A trial of 200 epochs costs between 20 minutes (WRN-16-1) and 15 hours (WRN-40-12) on one GPU; ASHA stops two thirds
of them at each rung. Expect a widening factor of 8 or more to win on CIFAR-10 (paper: WRN-28-10, 4.00 % test error).
"""

from cifarray.cli.tune import tune
from search_spaces import wrn

if __name__ == "__main__":
    tune(wrn.space, smoke=wrn.smoke)
