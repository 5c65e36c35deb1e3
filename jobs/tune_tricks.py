"""Search the tricks around a recipe: smoothing, mixup, CutMix, cutout, policies, schedule, decay, weights' average …

    python jobs/tune_tricks.py --smoke                       # 4 trials of 2 epochs on synthetic images
    python jobs/tune_tricks.py resnet_110 --searcher tpe     # around any recipe of jobs/train.py --list
    python jobs/tune_tricks.py --teacher STUDY               # all trials learn from its best network as well

Which one of them helps is another question: jobs/ablate_tricks.py. All trials run to their end: after few epochs a weak
regularisation looks better than it is, so ASHA is off if not asked for.
"""

from cifarray.cli.tune import tune_recipe
from search_spaces import tricks

if __name__ == "__main__":
    tune_recipe(tricks.space, default="wide_resnet_16_8", smoke="wide_resnet_fast")
