"""Search PyramidNets: α, depth, additive or multiplicative widening, basic or bottleneck blocks.

    python jobs/tune_pyramidnet.py --smoke                   # 4 trials of 2 epochs on synthetic images
    python jobs/tune_pyramidnet.py --max-params 4000000      # networks of 4 million parameters at most

A trial of 300 epochs costs between 2 hours (PyramidNet-56, α = 48) and 2 days (PyramidNet-200) on one GPU. Expect a
large α with bottlenecks to win (paper: PyramidNet-272, α = 200, 3.31 % test error).
"""

from cifarray.cli.tune import tune
from search_spaces import pyramidnet

if __name__ == "__main__":
    tune(pyramidnet.space, smoke=pyramidnet.smoke)
