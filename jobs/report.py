"""Report a study as one HTML page: its winner and how sure that is, all trials, curves, costs, what mattered, the time.

    python jobs/report.py STUDY --open              # in the browser; the file is beside the study's leaderboard
    python jobs/report.py STUDY STUDY               # side by side
    python jobs/report.py STUDY --price 0.80        # with what its worker-hours cost

The page opens without a network. Every study makes one at its end; this job adds the winner's worst mistakes, which
need its images (a minute at most; --no-champion leaves them out), and makes one of a study that still runs.
"""

from cifarray.cli.report import report

if __name__ == "__main__":
    report()
