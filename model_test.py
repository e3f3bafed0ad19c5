"""Score the newest model in model_save/ on KITTI's test lists: `python model_test.py`."""

import sys

from mono2many.cli import run
from mono2many.commands.model_test import run as model_test

if __name__ == "__main__":
    run(model_test, "model_test.py", sys.argv[1:])
