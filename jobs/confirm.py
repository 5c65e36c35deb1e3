"""Train the best of a search again with new seeds: the winner, what it beats, and what it cannot be told from.

python jobs/confirm.py wrn                       # the best 3 of the study wrn, with 3 new seeds each
python jobs/confirm.py wrn --seeds 5             # goes on with two more of each
"""

from cifarray.cli.confirm import confirm

if __name__ == "__main__":
    confirm()
