"""The lesion study: silence one residual branch of a trained network at a time, evaluate, draw error against block.

python jobs/lesion.py STUDY-NUMBER             # or a study (its best trial), an MLflow run id, a checkpoint's path
"""

from cifarray.cli.lesion import lesion

if __name__ == "__main__":
    lesion()
