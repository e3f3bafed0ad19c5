"""What is scored on Cityscapes: annotated frames of a split, or of one's own list, by their disparities."""

from collections.abc import Sequence
from functools import partial

from mono2many.data.image_files import opener, refuse_missing
from mono2many.data.marker import marked_synthetic
from mono2many.datasets.cityscapes import CityScoring
from mono2many.datasets.cityscapes.reader import CITYSCAPES, SPLITS, Snippet, read_city_list, read_snippets
from mono2many.evaluate.frames import EvalFrame, EvalSet, GroundTruthSource
from mono2many.metrics.protocol import Protocol
from mono2many.metrics.sparse import SparseTruth, sparse_truth
from mono2many.models.checkpoint import ModelCard


def cityscapes_eval_set(s: CityScoring, protocol: Protocol, card: ModelCard | None) -> EvalSet:
    """The frames of a split or of one's own list, checked against the files: without a card stored
    predictions are scored, which need no images. InputError where none is there, and where frames of a list
    are missing, unless that is allowed."""
    own = s.split_files[0] if s.split_files else None
    splits = (s.split,) if own is None else SPLITS
    snippets = {str(snippet): snippet for snippet in read_snippets(s.root, splits, True)}
    names = list(snippets) if own is None else read_city_list(own)
    frames, lost = list[EvalFrame](), list[str]()
    for position, name in enumerate(names):
        x = snippets.get(name)
        there = x is not None and x.path("disparity").exists()
        if x is None or not there or (card is not None and x.annotated not in x.files):
            lost.append(name)
            continue
        at, truth = partial(opener, x.images(), x.annotated), GroundTruthSource(partial(_depth, x))
        frames.append(EvalFrame(position, name, name, x.annotated, name, at, truth))
    zips = ("disparity", "camera", "leftImg8bit_sequence")
    remedy = f"unpack {', '.join(f'{kind}_trainvaltest.zip' for kind in zips)} in {s.root}"
    refuse_missing(own or s.split, lost, len(names), remedy, s.allow_missing or own is None)
    note = f"{len(frames)} of {len(names)} frames are there with their disparities; only these count"
    return EvalSet(
        CITYSCAPES,
        frames,
        len(names),
        protocol,
        marked_synthetic(s.root),
        note if lost else "",
        keys_of=partial(_trained_on, names),
    )


def _trained_on(names: Sequence[str], marks: Sequence[str]) -> set[str]:
    """The frames of these names whose city or sequence a model was trained on."""
    known = {name: (f"{CITYSCAPES} {name.split('_')[0]}", f"{CITYSCAPES} {name[:-7]}") for name in names}
    return {name for name, of_name in known.items() if not set(of_name).isdisjoint(marks)}


def _depth(snippet: Snippet) -> SparseTruth:
    return sparse_truth(snippet.camera.depth(snippet.path("disparity")))
