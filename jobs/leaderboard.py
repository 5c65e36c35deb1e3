"""Show the trials of a study, best first, as it is now: on the terminal, as CSV or as JSON.

python jobs/leaderboard.py STUDY                    # the best 20, as many columns as there is room for
python jobs/leaderboard.py STUDY STUDY --csv        # all trials of both; --json has the numbers in full
"""

from cifarray.cli.leaderboard import leaderboard

if __name__ == "__main__":
    leaderboard()
