"""What is scored on the embedded street: every other frame that has all neighbours, with exact depth."""

from collections.abc import Sequence
from functools import partial

from mono2many.evaluate.frames import EvalSet, reader_frames
from mono2many.metrics.protocol import Protocol
from mono2many.types import InputError, Reader


def street_eval_set(
    reader: Reader, training: Reader, protocol: Protocol, matching: Sequence[int] = ()
) -> EvalSet:
    """Frames of `reader`, at its size. matching: offsets of the frames that the model matches.

    The baselines are made of the first frame of each clip of `training`. Raises InputError where the streets
    are too short.
    """
    before, after = -min((0, *matching)), max((0, *matching))
    places = [
        (clip, index) for clip, c in enumerate(reader.clips) for index in range(before, c.frames - after, 2)
    ]
    if not places:
        raise InputError(
            f"--scene-frames {reader.clips[0].frames}: no frame of a street has all neighbours that this "
            f"model matches ({' '.join(map(str, matching))}); ask for at least {before + after + 1}"
        )
    return EvalSet(
        "unseen streets",
        reader_frames(reader, places),
        len(places),
        protocol,
        baseline_frames=[partial(training.frame, clip, 0) for clip in range(len(training.clips))],
    )
