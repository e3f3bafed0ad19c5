"""Parts to files: ONNX, OpenVINO's intermediate representation, PyTorch's exported program."""

import io
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from mono2many.errors import library
from mono2many.export.graphs import Part
from mono2many.files import atomic_write
from mono2many.predict.sessions import ENDINGS, NOTES

OPSET = 20
"""Of ONNX: since then grid_sample, resizing with anti-aliasing and GELU are as in PyTorch."""
MOST_BATCH, MOST_BLOCKS = 256, 256
"""Of a dynamic batch, and of a dynamic side in multiples of 32."""


def trace(part: Part, kind: str, dynamic: Mapping[str, Any]) -> Any:
    """The part's graph for this kind: PyTorch's exported program for pt2, an ONNX program for the others,
    which share it. dynamic: of dynamic_shapes."""
    program = _program(part, dynamic)
    return program if kind == "pt2" else _onnx_program(part, program)


def write_part(
    folder: Path,
    part: Part,
    graph: Any,
    kind: str,
    compress: bool,
    notes: Mapping[str, Any],
) -> list[str]:
    """folder/PART.onnx, .xml with .bin, or .pt2. graph: of `trace`, for this kind. compress: an OpenVINO
    file's weights in float16. notes: for the file's metadata. Returns the names of the operations that int8
    leaves in float32 (not of pt2)."""
    path = folder / f"{part.name}{ENDINGS[kind]}"
    text = json.dumps(
        {**notes, "part": part.name, "inputs": list(part.inputs), "outputs": list(part.outputs)}
    )
    if kind == "pt2":
        with atomic_write(path) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that two layers share
            archive = temporary.with_suffix(".pt2")  # it insists on the ending
            torch.export.save(graph, archive, extra_files={f"{NOTES}.json": text})
            archive.replace(temporary)
        return []
    exact = _outside(graph.model.graph, part.quantised)
    if kind == "openvino":
        save_openvino(path, _openvino_model(graph.model_proto.SerializeToString()), compress, text)
        return exact
    graph.model.metadata_props[NOTES] = text
    with atomic_write(path) as temporary:
        graph.save(str(temporary))
    return exact


def _outside(graph: Iterable[Any], modules: Sequence[str]) -> list[str]:
    """Names of the operations that belong to none of these modules. The exporter writes of each operation
    "PATH: CLASS/PATH: CLASS/...", from the outermost module in."""
    prefixes = tuple(f"{name}." for name in modules)

    def inside(node: Any) -> bool:
        scopes = node.metadata_props.get("namespace", "").split("/")
        return any(f"{scope.split(':')[0]}.".startswith(prefixes) for scope in scopes)

    return [node.name for node in graph if not inside(node)]


def dynamic_shapes(part: Part, batch: bool, size: bool) -> dict[str, Any]:
    """What may differ from call to call, for torch.export: of images, which all inputs of the parts depth and
    pose are. Empty: nothing."""
    if part.name not in ("depth", "pose") or not (batch or size):
        return {}
    shape: dict[int, Any] = {0: Dim("batch", min=1, max=MOST_BATCH)} if batch else {}
    if size:
        shape |= {2 + i: 32 * Dim(name, min=2, max=MOST_BLOCKS) for i, name in enumerate(("rows", "columns"))}
    return dict.fromkeys(part.inputs, shape)


def _program(part: Part, dynamic: Mapping[str, Any]) -> torch.export.ExportedProgram:
    """A batch of one would be taken for a constant: of a dynamic one there are two."""
    batched = any(0 in shape for shape in dynamic.values())
    inputs = {name: torch.cat([x, x]) if batched else x for name, x in part.inputs.items()}
    return torch.export.export(part.graph.eval(), (), inputs, dynamic_shapes=dynamic or None, strict=False)


def _onnx_program(part: Part, program: torch.export.ExportedProgram) -> Any:
    with _quiet():
        found = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            optimize=False,
            verbose=False,
        )
        assert found is not None
        _shorten(found.model)
    return found


def _shorten(model: Any) -> None:
    """Constants computed, batch normalisation made part of the convolutions (int8 would round both),
    unused and repeated operations removed. The exporter's own optimisation looks for many more patterns, for
    each of which it searches the whole graph: of refined poses' 28,000 operations that took over ten minutes,
    and the runtimes fuse operations themselves."""
    passes = library("onnx_ir.passes.common", "onnx")
    library("onnxscript.optimizer", "onnx").fold_constants(model)
    fused = library("onnxscript.rewriter.rules.common", "onnx").fuse_batchnorm_into_conv_rule
    library("onnxscript.rewriter", "onnx").rewrite(model, [fused])
    for shorten in (
        passes.RemoveUnusedNodesPass(),
        passes.CommonSubexpressionEliminationPass(),
        passes.RemoveUnusedNodesPass(),
    ):
        shorten(model)


def _openvino_model(onnx: bytes) -> Any:
    """With its constants computed: of each convolution's bias it makes several operations, in which NNCF sees
    none. (openvino.convert_model does that too, and reports its use to its makers.)"""
    ov, passes = library("openvino", "openvino"), library("openvino.passes", "openvino")
    model = ov.Core().read_model(onnx, b"")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return model


def save_openvino(path: Path, model: Any, compress: bool, notes: str) -> None:
    """PATH.xml and PATH.bin, with notes in the model's rt_info."""
    ov = library("openvino", "openvino")
    model.set_rt_info(notes, [NOTES])
    partial = path.with_name(f".partial-{path.stem}.xml")
    ov.save_model(model, str(partial), compress_to_fp16=compress)
    partial.with_suffix(".bin").replace(path.with_suffix(".bin"))
    partial.replace(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own log."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
