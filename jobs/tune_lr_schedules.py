"""Search learning-rate schedules around a recipe: multistep, cosine with warm-up, one cycle, and the peak rate.

    python jobs/tune_lr_schedules.py --smoke                 # 4 trials of 2 epochs on synthetic images
    python jobs/tune_lr_schedules.py densenet_bc_100_12      # around any recipe of jobs/train.py --list

All trials run to their end: after few epochs a low rate looks better than it is, so ASHA is off if not asked for.
"""

from cifarray.cli.tune import tune_recipe
from search_spaces import lr_schedules

if __name__ == "__main__":
    tune_recipe(lr_schedules.space, default="wide_resnet_16_8", smoke="wide_resnet_fast")
