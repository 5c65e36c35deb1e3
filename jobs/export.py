"""Export a trained network to ONNX: one file, normalisation inside, any batch size, held against torch.

python jobs/export.py STUDY --to onnx                   # its best trial, as STUDY-NUMBER.onnx in the study's folder
python jobs/export.py STUDY-NUMBER --output cat.onnx    # one trial; an MLflow run or a checkpoint's path works too

Takes some seconds, a minute for the deepest; needs the extra: pip install --editable '.[export]'
"""

from cifarray.cli.export import export

if __name__ == "__main__":
    export()
