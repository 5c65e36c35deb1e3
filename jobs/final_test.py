"""Open the test split: the only job that reads it, and every opening is counted in the journal and on the MLflow run.

python jobs/final_test.py STUDY             # the best trial of a study; every seed of a `--seeds` study
python jobs/final_test.py STUDY-NUMBER      # one trial; an MLflow run works too

Asked again, it shows what it found before; `--again` opens the split once more.
"""

from cifarray.cli.final_test import final_test

if __name__ == "__main__":
    final_test()
