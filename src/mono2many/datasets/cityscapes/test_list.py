"""What is scored on Cityscapes: annotated frames of a split, or of one's own list, by their disparities."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mono2many.data.marker import marked_synthetic
from mono2many.datasets.cityscapes.reader import (
    CITYSCAPES,
    SPLITS,
    CityCamera,
    Snippet,
    read_city_list,
    read_snippets,
)
from mono2many.evaluate.frames import EvalFrame, EvalSet, OpenFrame
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.types import Frame, InputError, Split


def cityscapes_eval_set(
    root: Path,
    split: Split,
    protocol: Protocol,
    list_file: str | None = None,
    allow_missing: bool = False,
    needs_images: bool = True,
) -> EvalSet:
    """The frames of a split or of `list_file`, checked against the files.

    needs_images: False where stored predictions are scored. Raises InputError where none is there, and where
    frames of a list are missing, unless that is allowed.
    """
    splits = SPLITS if list_file is not None else (split,)
    snippets = {str(snippet): snippet for snippet in read_snippets(root, splits, True)}
    names = read_city_list(list_file) if list_file is not None else list(snippets)
    frames, lost = [], []
    for position, name in enumerate(names):
        snippet = snippets.get(name)
        if (
            snippet is None
            or not snippet.path("disparity").exists()
            or (needs_images and snippet.annotated not in snippet.files)
        ):
            lost.append(name)
        else:
            frames.append(_eval_frame(position, snippet))
    if not frames or (lost and list_file is not None and not allow_missing):
        raise InputError(
            f"{root}: the picture, camera file or disparity of {len(lost)} of {len(names)} frames is missing "
            f"({min(lost)} ...); unpack disparity_trainvaltest.zip, camera_trainvaltest.zip and "
            "leftImg8bit_sequence_trainvaltest.zip there"
            + (", or score what is there: --allow-missing" if frames else "")
        )
    note = f"{len(frames)} of {len(names)} frames are there with their disparities; only these count"
    return EvalSet(
        CITYSCAPES,
        frames,
        len(names),
        protocol,
        marked_synthetic(root),
        note if lost else "",
        keys_of=partial(_trained_on, names),
    )


def _trained_on(names: Sequence[str], marks: Sequence[str]) -> set[str]:
    """The frames of these names whose city or sequence a model was trained on."""
    known = {name: (f"{CITYSCAPES} {name.split('_')[0]}", f"{CITYSCAPES} {name[:-7]}") for name in names}
    return {name for name, of_name in known.items() if not set(of_name).isdisjoint(marks)}


def _eval_frame(position: int, snippet: Snippet) -> EvalFrame:
    name, truth = str(snippet), partial(_depth, snippet)
    return EvalFrame(position, name, name, snippet.annotated, name, partial(_frame_at, snippet), truth)


def _frame_at(snippet: Snippet, offset: int) -> OpenFrame | None:
    path = snippet.files.get(snippet.annotated + offset)
    return None if path is None else partial(_frame, snippet.camera, path)


def _frame(camera: CityCamera, path: Path) -> Frame:
    return Frame(camera.picture(path), camera.intrinsics_at(camera.kept))


def _depth(snippet: Snippet) -> SparseTruth:
    return sparse_truth(snippet.camera.depth(snippet.path("disparity")))
