"""Prepare a data source before the first study: download or read, check, and write the memory-mapped store.

python jobs/prepare_data.py                              # CIFAR-10, downloaded
python jobs/prepare_data.py --data FOLDER --image-size 64
"""

from cifarray.cli.prepare_data import prepare_data

if __name__ == "__main__":
    prepare_data()
