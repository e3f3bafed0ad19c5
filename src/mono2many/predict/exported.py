"""An exported model: to a Predictor the same as a trained one, run by another runtime and without weights.

A folder that `mono2many export` wrote: config.json, as of a model folder and with `exported`, and a file for
each part: depth (one image), stream (of a ManyDepth: the next frame of a video), pose, match.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mono2many.files import UNREADABLE, as_annotated, explained, read_json
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture, matching_of
from mono2many.models.checkpoint import ModelCard
from mono2many.models.mono import MonoOutput
from mono2many.models.pose import RelativePose
from mono2many.models.starter import EXPORTED
from mono2many.predict.sessions import DAMAGED, ENDINGS, Session, open_session
from mono2many.predict.stream import FrameMemory
from mono2many.types import Batch, InputError, select


class Parity(NamedTuple):
    """Differences of depth from the model's, |exported - own| / own, over all pixels of all frames."""

    median: float
    p99: float
    """99th percentile."""
    p999: float
    """99.9th."""
    mean: float
    """Abs Rel against the model's own depth, not aligned."""
    worst_median: float
    """The greatest median of a frame."""
    frames: int
    """How many were compared."""

    def __str__(self) -> str:
        return (
            f"median {self.median:.1e} (of the worst frame {self.worst_median:.1e}), 99th percentile "
            f"{self.p99:.1e}, 99.9th {self.p999:.1e}, mean {self.mean:.1e}"
        )


@dataclass(frozen=True)
class ExportNotes:
    """What config.json says of an export, under EXPORTED."""

    format: str
    precision: str
    parts: tuple[str, ...]
    dynamic_batch: bool = False
    """A call may be of any number of images; else of one."""
    dynamic_size: bool = False
    """Images may have any size in multiples of 32."""
    features: tuple[int, ...] = ()
    """Shape of what a ManyDepth keeps of an earlier frame, without batch."""
    licence: str = ""
    """Of the weights, as far as the model's README.md states it."""
    version: str = ""
    """Of mono2many."""
    parity: Parity | None = None
    """None: not compared yet."""


def read_notes(folder: Path) -> ExportNotes | None:
    """None: an ordinary model folder. InputError where they are damaged."""
    raw = read_json(folder / "config.json", DAMAGED).get(EXPORTED)
    if raw is None:
        return None
    with explained(f"{folder / 'config.json'}: its notes on the export are damaged", DAMAGED, UNREADABLE):
        parity, hints = raw.pop("parity", None), ExportNotes.__annotations__
        notes = ExportNotes(**{key: as_annotated(hints[key], value, key) for key, value in raw.items()})
        if parity is not None:
            kinds = Parity.__annotations__.items()
            notes = replace(notes, parity=Parity._make(kind(parity[name]) for name, kind in kinds))
        if notes.format not in ENDINGS:
            raise ValueError(f"format {notes.format!r} is not known")
    return notes


class Exported:
    """The networks of an export, as far as its parts go."""

    def __init__(self, folder: Path, card: ModelCard, notes: ExportNotes, device: torch.device) -> None:
        self.folder, self.notes, self.device = folder, notes, device
        a = card.architecture
        # the exported pose network's translation has depth's unit already, in metres where it is known
        self.architecture: MonoArchitecture = replace(a, pose_type="separate", pose_input="pairs")
        self.unit = card.factor if card.scale == "metres" else 1.0
        self.cameras = None
        self.sessions: dict[str, Session] = {}
        self.size = None if notes.dynamic_size else (card.height, card.width)

    def to(self, device: torch.device) -> "Exported":
        """Files are opened again where they are to run elsewhere."""
        if device != self.device:
            self.device, self.sessions = device, {}
        return self

    def run(self, part: str, **inputs: Tensor) -> dict[str, Tensor]:
        """Outputs of a part. InputError for one that was not exported, and for inputs of another shape."""
        session = self.session(part)
        first = next(iter(inputs.values()))
        if self.size is not None and first.shape[-2:] != self.size:
            raise InputError(
                f"{self.folder}: was exported for {self.size[1]}x{self.size[0]}, not "
                f"{first.shape[-1]}x{first.shape[-2]}: export it for that size (--height, --width), or with "
                "--dynamic-size"
            )
        count = len(first)
        apart = 1 if self.notes.dynamic_batch and part != "stream" else count
        pieces = [session(**dict(zip(inputs, piece, strict=True))) for piece in _pieces(inputs, apart)]
        return {name: torch.cat([p[name] for p in pieces]).to(first.device) for name in pieces[0]}

    def session(self, part: str) -> Session:
        """A part, opened when it is first wanted. InputError for one that was not exported."""
        if part not in self.notes.parts:
            raise InputError(
                f"{self.folder}: the export has no part {part!r} (only {', '.join(self.notes.parts)}); "
                "export again with --parts, or use the model folder"
            )
        if part not in self.sessions:
            path = self.folder / f"{part}{ENDINGS[self.notes.format]}"
            # the others hold geometry, which is computed in float32 whatever their weights are stored in
            precision = self.notes.precision if part == "depth" else "fp32"
            self.sessions[part] = open_session(path, self.notes.format, precision, self.device)
        return self.sessions[part]

    def single(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B H W"]:
        """1 / depth of single images, in the unit of the networks' depth."""
        if "depth" in self.notes.parts:
            return self._disparity(self.run("depth", image=images)["depth"])
        nothing = self.no_frames(images)
        return self._disparity(self._stream(images, **nothing, intrinsics=_unit_camera(images))["depth"])

    depth = single

    def _disparity(self, depth: Float[Tensor, "B H W"]) -> Float[Tensor, "B H W"]:
        return self.unit / depth.float()

    def pose(
        self, target: Float[Tensor, "B 3 H W"], sources: Float[Tensor, "B S 3 H W"], offsets: Sequence[int]
    ) -> RelativePose:
        """As PoseNet's; translations have depth's unit."""
        pairs = zip(sources.unbind(1), offsets, strict=True)
        ordered = [(s, target) if offset < 0 else (target, s) for s, offset in pairs]
        found = [self.run("pose", earlier=a, later=b) for a, b in ordered]
        rotation, translation = (
            torch.stack([f[name] for f in found], 1) for name in ("axis_angle", "translation")
        )
        return RelativePose(rotation, translation / self.unit)

    def __call__(self, target: Tensor, sources: Tensor, offsets: Sequence[int]) -> MonoOutput:
        return MonoOutput([self._sigmoid(self.single(target))], self.pose(target, sources, offsets), None)

    def on_batch(self, batch: Batch) -> tuple[list[Float[Tensor, "B 1 _ _"]], RelativePose]:
        """As a MonoDepth's and a ManyDepth's."""
        target, sources, offsets = batch.first_sources(self.architecture.sources).for_networks()
        pose = self.pose(target, sources, offsets)
        if not self.matches:
            return [self._sigmoid(self.single(target))], pose
        at = [batch.source_offsets.index(offset) for offset in matching_of(self.architecture)]
        matching, exists = select(batch.sources_jittered, at), select(batch.source_exists, at)
        return [self._sigmoid(self.disparity(target, matching, exists, batch.intrinsics))], pose

    def _sigmoid(self, disparity: Float[Tensor, "B H W"]) -> Float[Tensor, "B 1 H W"]:
        low, high = 1 / self.architecture.max_depth, 1 / self.architecture.min_depth
        return ((disparity - low) / (high - low)).unsqueeze(1)

    @property
    def matches(self) -> bool:
        """It is a ManyDepth."""
        return isinstance(self.architecture, ManyArchitecture)

    def disparity(
        self,
        image: Float[Tensor, "B 3 H W"],
        matching: Float[Tensor, "B F 3 H W"],
        exists: Bool[Tensor, "B F"],
        intrinsics: Float[Tensor, "B 3 3"],
    ) -> Float[Tensor, "B H W"]:
        """1 / depth, matched with these frames, as ManyDepth.disparity."""
        inputs = self.no_frames(image)
        blank = _unit_camera(image)
        for i in range(matching.shape[1]):
            earlier = matching[:, i]
            found = self._stream(earlier, **self.no_frames(earlier), intrinsics=blank)
            inputs["previous_images"][:, i] = earlier
            inputs["previous_features"][:, i] = found["features"]
            inputs["previous_depth"][:, i] = found["depth"]
        inputs["exists"], inputs["moved"] = exists.float(), exists.float()
        return self._disparity(self._stream(image, **inputs, intrinsics=intrinsics)["depth"])

    def no_frames(self, image: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        """Inputs of the part `stream` that say: there is no earlier frame."""
        count, frames = len(image), len(matching_of(self.architecture))
        return {
            "previous_images": image.new_zeros(count, frames, *image.shape[1:]),
            "previous_features": image.new_zeros(count, frames, *self.notes.features),
            "previous_depth": image.new_ones(count, frames, *image.shape[-2:]),
            "exists": image.new_zeros(count, frames),
            "moved": image.new_zeros(count, frames),
        }

    def _stream(self, image: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        """The part `stream`; without the inputs that this model does not have."""
        return self.run("stream", image=image, **{k: v for k, v in inputs.items() if k in self.stream_inputs})

    @cached_property
    def stream_inputs(self) -> tuple[str, ...]:
        assert isinstance(self.architecture, ManyArchitecture)
        return stream_inputs(self.architecture)

    def stream(self, intrinsics: Float[Tensor, "3 3"]) -> "ExportedStream":
        return ExportedStream(self, intrinsics)


class ExportedStream:
    """StreamState's decisions, with the exported networks."""

    def __init__(self, network: Exported, intrinsics: Float[Tensor, "3 3"]) -> None:
        self.network, self.intrinsics = network, intrinsics.unsqueeze(0)
        self.memory = FrameMemory(matching_of(network.architecture))

    @torch.inference_mode()
    def __call__(self, image: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 H W"]:
        network, memory = self.network, self.memory
        inputs = network.no_frames(image)
        now = memory.add(image, inputs["previous_features"][:, 0])  # until it is known
        moved = [link is not None for link in memory.links()]
        for i, offset in enumerate(memory.offsets):
            if memory.there(offset):
                then = memory.frames[offset - 1]
                assert then.disparity is not None
                inputs["previous_images"][:, i] = then.image
                inputs["previous_features"][:, i] = then.matching_features
                inputs["previous_depth"][:, i] = network.unit / then.disparity
        inputs["exists"] = image.new_tensor([memory.to_match(moved)]).float()
        inputs["moved"] = image.new_tensor([moved]).float()
        found = network._stream(image, **inputs, intrinsics=self.intrinsics)
        now.matching_features, now.disparity = found["features"], network._disparity(found["depth"])
        return now.disparity


def stream_inputs(a: ManyArchitecture) -> tuple[str, ...]:
    """Names of the inputs of the part `stream`."""
    more = ["moved"] * (len(a.matching) > 1) + ["previous_depth"] * a.refines_motion
    return ("image", "previous_images", "previous_features", "exists", "intrinsics", *more)


def _pieces(inputs: dict[str, Tensor], count: int) -> list[tuple[Tensor, ...]]:
    return list(zip(*(value.chunk(count) for value in inputs.values()), strict=True))


def _unit_camera(images: Tensor) -> Float[Tensor, "B 3 3"]:
    return torch.eye(3, device=images.device).expand(len(images), 3, 3).contiguous()
