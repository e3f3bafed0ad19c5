"""int8 by post-training quantisation (NNCF), calibrated on frames.

In a process of its own: NNCF reports its use to its makers unless told otherwise before it is imported,
prints, and brings a second OpenMP runtime.

python -m mono2many.export.quantise depth.xml openvino inputs.npz < NAMES
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mono2many.errors import library
from mono2many.export.write import save_openvino
from mono2many.files import atomic_write, brief
from mono2many.predict.sessions import ENDINGS, NOTES
from mono2many.types import InputError


def quantise(path: Path, kind: str, samples: Sequence[Mapping[str, Tensor]], exact: Sequence[str]) -> None:
    """Replace the part at `path` (fp32, ONNX or OpenVINO) by its int8 version. samples: its inputs, to
    calibrate it. exact: names of operations that stay in float32. InputError where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npz"
        stacked = {name: torch.stack([sample[name] for sample in samples]).numpy() for name in samples[0]}
        np.savez(inputs, **stacked)  # type: ignore[arg-type]  # its stub gives one name to a switch
        words = [sys.executable, "-m", "mono2many.export.quantise", str(path), kind, str(inputs)]
        found = subprocess.run(
            words, capture_output=True, text=True, env={**os.environ, "NNCF_CI": "1"}, input="\n".join(exact)
        )
    if found.returncode:
        said = found.stderr.strip().splitlines() or [f"ended with {found.returncode}"]
        raise InputError(f"quantisation by NNCF failed: {brief(said[-1])}")


def _quantise(path: Path, kind: str, inputs: Path, exact: Set[str]) -> None:
    """What the process does."""
    nncf = library("nncf", "openvino")
    every = dict(np.load(inputs))
    count = len(next(iter(every.values())))
    samples = nncf.Dataset([{name: value[i] for name, value in every.items()} for i in range(count)])

    def quantised(model: Any, names: Iterable[str]) -> Any:
        # OpenVINO makes several operations of one, NAME and NAME/PART
        kept = [name for name in names if name.split("/")[0] in exact]
        return nncf.quantize(
            model, samples, preset=nncf.QuantizationPreset.MIXED, subset_size=count,
            ignored_scope=nncf.IgnoredScope(names=kept, validate=False),
            # its fast correction moves depth as a whole, and the exact one takes long
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )  # fmt: skip

    if kind == "onnx":
        onnx = library("onnx", "onnx")
        model = onnx.load(str(path))
        notes = {entry.key: entry.value for entry in model.metadata_props}
        found = quantised(model, [node.name for node in model.graph.node])
        del found.metadata_props[:]
        onnx.helper.set_model_props(found, notes)
        with atomic_write(path) as temporary:
            onnx.save(found, str(temporary))
        return
    ov = library("openvino", "openvino")
    model = ov.Core().read_model(str(path))
    text = model.get_rt_info([NOTES]).astype(str)
    names = [operation.get_friendly_name() for operation in model.get_ops()]
    save_openvino(path, quantised(model, names), False, text)


def described(path: Path) -> dict[str, Any]:
    """The notes in a file's own metadata."""
    if path.suffix == ENDINGS["onnx"]:
        onnx = library("onnx", "onnx")
        model = onnx.load(str(path), load_external_data=False)
        return json.loads({entry.key: entry.value for entry in model.metadata_props}[NOTES])
    ov = library("openvino", "openvino")
    return json.loads(ov.Core().read_model(str(path)).get_rt_info([NOTES]).astype(str))


if __name__ == "__main__":
    _quantise(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), {*sys.stdin.read().splitlines()})
