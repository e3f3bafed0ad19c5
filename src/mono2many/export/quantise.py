"""int8 by post-training quantisation (NNCF), calibrated on frames.

In a process of its own: NNCF reports its use to its makers unless told otherwise before it is imported,
prints, and brings a second OpenMP runtime.

python -m mono2many.export.quantise depth.xml openvino images.npy
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.errors import library
from mono2many.export.write import save_openvino
from mono2many.files import atomic_write, brief
from mono2many.predict.sessions import ENDINGS, NOTES
from mono2many.types import InputError


def quantise(path: Path, kind: str, inputs: Sequence[Float[Tensor, "1 3 H W"]]) -> None:
    """Replace the part `depth` at `path` (fp32, ONNX or OpenVINO) by its int8 version. inputs: what it is
    calibrated with. InputError where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, torch.cat(list(inputs)).numpy())
        words = [sys.executable, "-m", "mono2many.export.quantise", str(path), kind, str(images)]
        found = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "NNCF_CI": "1"})
    if found.returncode:
        said = found.stderr.strip().splitlines() or [f"ended with {found.returncode}"]
        raise InputError(f"quantisation by NNCF failed: {brief(said[-1])}")


def _quantise(path: Path, kind: str, images: Path) -> None:
    """What the process does."""
    nncf = library("nncf", "openvino")
    every = np.load(images)
    samples = nncf.Dataset([every[i : i + 1] for i in range(len(every))], lambda image: {"image": image})
    options = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(every)}
    if kind == "onnx":
        onnx = library("onnx", "onnx")
        model = onnx.load(str(path))
        notes = {entry.key: entry.value for entry in model.metadata_props}
        found = nncf.quantize(model, samples, **options)
        del found.metadata_props[:]
        onnx.helper.set_model_props(found, notes)
        with atomic_write(path) as temporary:
            onnx.save(found, str(temporary))
        return
    ov = library("openvino", "openvino")
    model = ov.Core().read_model(str(path))
    notes = model.get_rt_info([NOTES]).astype(str)
    save_openvino(path, nncf.quantize(model, samples, **options), False, notes)


def described(path: Path) -> dict[str, Any]:
    """The notes in a file's own metadata."""
    if path.suffix == ENDINGS["onnx"]:
        onnx = library("onnx", "onnx")
        model = onnx.load(str(path), load_external_data=False)
        return json.loads({entry.key: entry.value for entry in model.metadata_props}[NOTES])
    ov = library("openvino", "openvino")
    return json.loads(ov.Core().read_model(str(path)).get_rt_info([NOTES]).astype(str))


if __name__ == "__main__":
    _quantise(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
