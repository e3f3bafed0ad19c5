"""Which networks: settings that are stored with the weights. Imports no torch: flags are read fast."""

from dataclasses import dataclass
from typing import Literal

DecoderType = Literal["paper", "medium", "light"]
Padding = Literal["reflect", "zeros", "replicate"]
PoseType = Literal["separate", "shared", "posecnn", "light"]
PoseInput = Literal["pairs", "all"]
MatchBy = Literal["features", "pixels"]
MOST_HYPOTHESES = 1024


@dataclass(frozen=True)
class NetworkSettings:
    """Depth and pose network as a training chooses them (Godard et al. 2019)."""

    encoder: str = "resnet18"
    """Any timm model with features at strides 4 to 32, or `light`."""
    decoder: DecoderType = "paper"
    """paper: ELU, widths 256 to 16. medium: BatchNorm and ReLU, widths 96 to 16. light: ReLU, 64 to 16."""
    padding: Padding = "reflect"
    """Padding of the decoder's convolutions."""
    scales: int = 4
    """Disparity maps, at strides 1, 2, 4, 8."""
    pose_type: PoseType = "separate"
    """separate: an encoder of its own. shared: a head on the depth encoder's features. posecnn: seven
    strided convolutions. light: six, on half-size pairs."""
    pose_input: PoseInput = "pairs"
    """Frames that enter the pose network together."""
    pose_encoder: str = "resnet18"
    """Encoder of pose type separate."""
    predictive_mask: bool = False
    """Predict an explainability mask (Zhou et al. 2017) instead of the auto-mask."""
    min_depth: float = 0.1
    """Depth of sigmoid 1."""
    max_depth: float = 100.0
    """Depth of sigmoid 0."""

    @property
    def pose_scaled_by_disparity(self) -> bool:
        """Translations are times the mean disparity of the map that they are for."""
        return self.pose_type == "posecnn"


@dataclass(frozen=True)
class MonoArchitecture(NetworkSettings):
    """All that is needed to build a MonoDepth again: these, and what its data decide."""

    sources: int = 2
    """Neighbours in time that the loss compares; 0: there is no pose network."""
    stereo: bool = False
    """The stereo partner is a source, too."""
    cameras: int = 0
    """Cameras learnt with the networks; 0: they are known."""


@dataclass(frozen=True)
class ManyArchitecture(MonoArchitecture):
    """A ManyDepth: teacher and pose network as above; the student has the same encoder and decoder, and:"""

    hypotheses: int = 96
    """Depths at which the sweep compares, between the nearest and the farthest of the training."""
    spacing: Literal["linear", "inverse"] = "linear"
    """Equal steps of depth, or of inverse depth."""
    matching: tuple[int, ...] = (-1,)
    """The frames it is matched with, counted from the target, by distance in time."""
    match_by: MatchBy = "features"
    """features: the paper's sweep. pixels: see models/pixels.py."""
    rectified: bool = True
    """A ReLU follows where the costs join the image's features at stride 4 (the paper's). Not for an encoder
    without one there, whose negative features it would cut off: see `is_rectified`."""

    @property
    def refines_motion(self) -> bool:
        """Predicted poses are refined by direct alignment before they are used."""
        return self.match_by == "pixels"


def matching_of(architecture: MonoArchitecture) -> tuple[int, ...]:
    """Frames that a model matches; a MonoDepth none."""
    return architecture.matching if isinstance(architecture, ManyArchitecture) else ()
