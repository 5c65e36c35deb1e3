"""Searches on a virtual clock: which strategy is best on recorded curves, and what a search would take.

python jobs/simulate_search.py --record STUDY > curves.jsonl         # of the trials that ran to their end
python jobs/simulate_search.py --compare --curves curves.jsonl       # the strategies, and Ray Tune's ASHA
python jobs/simulate_search.py --curves curves.jsonl --trials 500    # what a search of such trials would take
"""

from cifarray.cli.simulate_search import simulate_search

if __name__ == "__main__":
    simulate_search()
