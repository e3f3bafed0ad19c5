"""int8 by post-training quantisation (NNCF), calibrated on frames."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from mono2many.export.write import save_openvino
from mono2many.files import atomic_write
from mono2many.predict.sessions import ENDINGS, NOTES, runtime


def quantise(path: Path, kind: str, inputs: Sequence[Float[Tensor, "1 3 H W"]]) -> None:
    """Replace the part `depth` at `path` (fp32, ONNX or OpenVINO) by its int8 version. inputs: what it is
    calibrated with."""
    os.environ.setdefault("NNCF_CI", "1")  # else it reports its use to its makers without being asked to
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # that there is no CUDA
    nncf = runtime("nncf", "openvino")
    samples = nncf.Dataset(list(inputs), lambda image: {"image": image.numpy()})
    options = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(inputs)}
    if kind == "onnx":
        onnx = runtime("onnx", "onnx")
        model = onnx.load(str(path))
        notes = {entry.key: entry.value for entry in model.metadata_props}
        found = nncf.quantize(model, samples, **options)
        del found.metadata_props[:]
        onnx.helper.set_model_props(found, notes)
        with atomic_write(path) as temporary:
            onnx.save(found, str(temporary))
        return
    ov = runtime("openvino", "openvino")
    model = ov.Core().read_model(str(path))
    notes = model.get_rt_info([NOTES]).astype(str)
    save_openvino(path, nncf.quantize(model, samples, **options), False, notes)


def described(path: Path) -> dict[str, Any]:
    """The notes in a file's own metadata."""
    if path.suffix == ENDINGS["onnx"]:
        onnx = runtime("onnx", "onnx")
        model = onnx.load(str(path), load_external_data=False)
        return json.loads({entry.key: entry.value for entry in model.metadata_props}[NOTES])
    ov = runtime("openvino", "openvino")
    return json.loads(ov.Core().read_model(str(path)).get_rt_info([NOTES]).astype(str))
