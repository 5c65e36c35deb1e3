"""Search DenseNets: growth rate, depth, bottlenecks and compression.

    python jobs/tune_densenet.py --smoke                     # 4 trials of 2 epochs on synthetic images
    python jobs/tune_densenet.py --max-params 1100000        # which DenseNet of a million parameters

Without bottlenecks a network needs much memory for its size; `--set model.memory_efficient=true` computes again what it
would keep. Expect BC with a large growth rate to win (paper: DenseNet-BC, L = 190, k = 40, 3.46 % test error).
"""

from cifarray.cli.tune import tune
from search_spaces import densenet

if __name__ == "__main__":
    tune(densenet.space, smoke=densenet.smoke)
