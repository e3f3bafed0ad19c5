"""One part of an exported model, opened in the runtime that its file is for."""

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from mono2many.errors import library
from mono2many.files import brief, explained
from mono2many.types import InputError

ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
"""Of the files of each format."""
NOTES = "mono2many"
"""Under this key a file's own metadata hold what is known of it, as JSON."""
DAMAGED = "copy it again, or export the model again"

Session = Callable[..., dict[str, Tensor]]
"""An opened file: session(name=tensor, ...) returns its outputs by name, on the CPU but for pt2."""


def open_session(path: Path, kind: str, precision: str, device: torch.device) -> Session:
    """path: the file of one part. InputError where the runtime is not installed, or the file is damaged."""
    opened = {"onnx": _onnx, "openvino": _openvino, "pt2": _pt2}[kind]
    if not path.exists():
        raise InputError(f"{path}: no such file; {DAMAGED}")
    with explained(f"{path}: cannot be opened", DAMAGED, (RuntimeError, ValueError, KeyError, BadZipFile)):
        return opened(path, precision, device)


def _onnx(path: Path, precision: str, device: torch.device) -> Session:
    ort = library("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    wanted = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}[device.type]
    if wanted not in ort.get_available_providers():
        raise InputError(
            "--device cuda: this onnxruntime has no CUDA; install onnxruntime-gpu, or --device cpu"
        )
    try:
        session = ort.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:  # of several classes of its own, which have no common base
        raise ValueError(brief(str(error))) from None
    names = [output.name for output in session.get_outputs()]

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        fed = {name: value.cpu().contiguous().numpy() for name, value in inputs.items()}
        return dict(zip(names, map(torch.from_numpy, session.run(None, fed)), strict=True))

    return run


def _openvino(path: Path, precision: str, device: torch.device) -> Session:
    ov = library("openvino", "openvino")
    if device.type != "cpu":
        raise InputError("an OpenVINO export runs on the CPU: --device cpu")
    # without the hint a CPU with bf16 computes in it, whatever the file holds
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    if precision != "fp16":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    core = ov.Core()
    model = core.read_model(str(path))
    # an output may have the names of what computes it, too
    names = json.loads(model.get_rt_info([NOTES]).astype(str))["outputs"]
    with _same_signal_stack():
        compiled = core.compile_model(model, "CPU", settings)

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        found = compiled({name: value.contiguous().numpy() for name, value in inputs.items()})
        return {name: torch.from_numpy(found[i].copy()) for i, name in enumerate(names)}

    return run


class _SignalStack(ctypes.Structure):
    """stack_t of Linux."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def _same_signal_stack() -> Iterator[None]:
    """Where signals are handled stays as it was. OpenVINO 2026.4 gives the thread that compiles a stack of
    its own for them, on which the handlers do not fit on a CPU with AVX512: the next child's end, which
    PyTorch's loaders handle, would be a segmentation fault."""
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        libc.sigaltstack(ctypes.byref(before), None)


def _pt2(path: Path, precision: str, device: torch.device) -> Session:
    extra = {f"{NOTES}.json": ""}
    program = torch.export.load(str(path), extra_files=extra)
    names = json.loads(extra[f"{NOTES}.json"])["outputs"]
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, str(device))
    module = program.module()

    def run(**inputs: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            found = module(**inputs)
        return dict(zip(names, found, strict=True))

    return run
