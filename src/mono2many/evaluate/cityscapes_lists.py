"""What is scored on Cityscapes: annotated frames of a split, or of one's own list, by their disparities."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from mono2many.commands import EvaluateConfig
from mono2many.data.marker import marked_synthetic
from mono2many.data.reader import DATASET
from mono2many.datasets.cityscapes.reader import CITYSCAPES, SPLITS, Snippet, read_city_list, read_snippets
from mono2many.evaluate.kitti_lists import Listed, Listing
from mono2many.evaluate.truth import TruthSource
from mono2many.geometry.camera import Size
from mono2many.metrics.protocol import Protocol
from mono2many.types import InputError


def look_up_city(config: EvaluateConfig, protocol: Protocol) -> Listing:
    """The frames in question, checked against the files. Raises InputError."""
    data = config.data
    root = Path(data.data[0] if data.data else DATASET)
    snippets = {str(s): s for s in read_snippets(root, SPLITS if data.split_files else (config.split,), True)}
    names = read_city_list(data.split_files[0]) if data.split_files else list(snippets)
    places = [
        place
        for place, name in enumerate(names)
        if (s := snippets.get(name)) is not None
        and s.path("disparity").exists()
        and (config.predictions is not None or s.annotated in s.files)
    ]
    lost = sorted(set(names) - {names[place] for place in places})
    if not places or (lost and data.split_files and not data.allow_missing):
        raise InputError(
            f"{root}: the picture, camera file or disparity of {len(lost)} of {len(names)} frames is missing "
            f"({lost[0]} ...); unpack disparity_trainvaltest.zip, camera_trainvaltest.zip and "
            "leftImg8bit_sequence_trainvaltest.zip there"
            + (", or score what is there: --allow-missing" if places else "")
        )
    note = f"{len(places)} of {len(names)} frames are there with their disparities; only these count"
    frames = [_listed(snippets.get(name) or _nowhere(root, name)) for name in names]

    def seen(marks: Sequence[str]) -> set[str]:
        of = {name: (f"{CITYSCAPES} {name.split('_')[0]}", f"{CITYSCAPES} {name[:-7]}") for name in names}
        return {name for name, known in of.items() if not set(known).isdisjoint(marks)}

    return Listing(CITYSCAPES, frames, places, marked_synthetic(root), note if lost else "", seen, False)


def _nowhere(root: Path, name: str) -> Snippet:
    """Listed, but not there, and so not scored."""
    city, sequence, number = name.split("_")
    return Snippet(root, "test", city, sequence, int(number), {})


def _listed(snippet: Snippet) -> Listed:
    name, number, files = str(snippet), snippet.annotated, snippet.files

    def camera() -> tuple[Size, Tensor]:
        size = snippet.camera.prepared or snippet.camera.kept
        return size, snippet.camera.intrinsics_at(size)

    def truth() -> TruthSource:
        depth = partial(snippet.camera.depth, snippet.path("disparity"))
        return TruthSource(name, (), snippet.camera.kept, depth)

    def beside(offset: int) -> Path | None:
        return files.get(number + offset)

    def picture(path: Path) -> Tensor:
        return snippet.camera.picture(path)

    image = files.get(number, Path(name))
    return Listed(name, name, number, name, image, camera, beside, truth, open=picture)
