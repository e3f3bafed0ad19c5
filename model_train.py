"""Train: `python model_train.py --pose_type separate --datatype kitti_eigen_zhou`.

The same as `mono2many train`, with a folder for each data set: model_save/kitti_eigen_zhou. `--help` lists
all options."""

import sys

from mono2many.cli import run
from mono2many.commands.train import run_model_train

if __name__ == "__main__":
    run(run_model_train, "model_train.py", sys.argv[1:])
