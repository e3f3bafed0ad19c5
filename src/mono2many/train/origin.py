"""What a run's networks begin from: flags, a model (--start-from), a teacher, the run itself (--resume); and
the unit of length that stereo pairs give them."""

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from mono2many.data.dataset import ClipDataset, spread_out
from mono2many.losses.consistency import running_range
from mono2many.models.architecture import ManyArchitecture, MonoArchitecture, NetworkSettings
from mono2many.models.checkpoint import ModelCard, from_mono, load_model, load_weights, read_card, save_model
from mono2many.models.encoder import is_rectified
from mono2many.models.many import ManyDepth
from mono2many.models.mono import DepthNet, MonoDepth
from mono2many.models.pose import NoPose
from mono2many.models.starter import best_of
from mono2many.train.settings import TrainConfig
from mono2many.types import InputError

START_FOLDER = "start"
"""Of a run: the depth network that it is anchored to, so that --resume needs nothing from outside."""
START_DEPTH = 30
"""Depth of an untrained network, in stereo baselines."""
NOMINAL_BASELINE = 0.1
"""Stereo baseline in the papers' unit, whatever it is in metres."""


@dataclass(frozen=True)
class StereoUnit:
    """Metres per unit of a model that learns from stereo pairs, as its card stores them."""

    factor: float = 1.0
    factor_spread: float | None = None
    factor_from: str = "stereo, baseline as calibrated"


def unit_of(dataset: ClipDataset) -> StereoUnit | None:
    """The unit that these stereo pairs give a model; None where there are none."""
    pairs = [pair for clip, _ in dataset.samples if (pair := dataset.clips[clip].stereo_partner) is not None]
    if not pairs or 0 not in dataset.offsets:
        return None
    if dataset.baseline is None:
        return StereoUnit()
    metres = torch.tensor([abs(x) for _, x in pairs], dtype=torch.float64)
    mean = float(metres.mean())
    deviation = round(float(metres.std(correction=0)) / mean, 6)
    source = f"stereo, baseline {dataset.baseline:g} of {mean:.4g} m"
    return StereoUnit(mean / dataset.baseline, deviation, source)


class Origin:
    """Where the networks of a run come from, and what they are."""

    def __init__(self, config: TrainConfig, dataset: ClipDataset, folder: Path, resumes: bool) -> None:
        self.config, self.dataset, self.folder, self.resumes = config, dataset, folder, resumes
        self.unit = unit_of(dataset)
        self.start = None if resumes else config.run.start_from
        """The model that a new run begins from."""
        self.known = folder if resumes and (folder / "config.json").exists() else self.start
        """The model folder that describes the networks; None: the flags do."""
        self.teacher = config.many.teacher if self.known is None else None
        """The MonoDepth that a new ManyDepth begins with."""
        has_pose = self.start is None or not config.neighbours or read_card(self.start).has_pose
        self.fresh_pose = not has_pose
        """The model that the run begins from has no pose network."""
        own = (config.data.height, config.data.width)
        sizes = dict(sorted((clip.camera, clip.size or own) for clip in dataset.reader.clips))
        self.camera_sizes = tuple(sizes.values()) if config.dataset.learns_camera else ()
        """Height and width of each learnt camera's own images."""

    @property
    def begins_trained(self) -> bool:
        """The networks of a new run predict depth and motion before its first step."""
        return not self.resumes and not self.fresh_pose and (self.start or self.teacher) is not None

    @property
    def was_metric(self) -> bool:
        """The folder's model had a scale in metres, which no longer holds once its weights change."""
        models = [
            f for f in (self.folder, best_of(self.folder)) if self.unit is None and self.known == self.folder
        ]
        return any(read_card(folder).scale == "metres" for folder in models)

    def network(self) -> MonoDepth | ManyDepth:
        """The networks with the weights that they begin with. InputError for unusable weights."""
        architecture = replace(self._architecture(), cameras=len(self.camera_sizes))
        begun = self.resumes or self.start is not None or self.teacher is not None
        weights = "none" if begun else self.config.model.encoder_weights
        network: MonoDepth | ManyDepth
        if isinstance(architecture, ManyArchitecture):
            network = ManyDepth(architecture, weights)
            if self.teacher is not None and not self.resumes:
                self._refuse_other_unit(self.teacher)
                from_mono(network, self.teacher)
                network.depth.set_range(*depth_range(network.teacher, self.dataset))
        else:
            network = MonoDepth(architecture, weights)
        if self.unit and self.config.model.start_far and self.known is None and self.teacher is None:
            _start_at(network, START_DEPTH * abs(self.dataset.stereo_x(0) or 0))
        if network.cameras is not None:
            data = self.config.data
            network.cameras.start_from(starting_cameras(self.dataset), data.height, data.width)
        if self.start is not None:
            own = ["cameras."] + ([] if architecture.sources else ["pose."])
            own += ["pose.", "depth.min_depth", "depth.max_depth"] if self.fresh_pose else []
            load_weights(network, self.start, tuple(own))
        return network

    def anchor(self) -> DepthNet | None:
        """The depth network that the run is anchored to."""
        if self.config.anchor == 0:
            return None
        if self.start is not None:
            return open_start(self.start)
        try:
            return open_start(self.folder / START_FOLDER)
        except InputError as error:
            raise InputError(f"{error}; or continue without the anchor: add --anchor 0") from error

    def card(self, architecture: MonoArchitecture) -> ModelCard:
        data, settings = self.config.data, self.config.dataset
        before = [name for f in (self.known, self.teacher) if f for name in read_card(f).seen]
        card = ModelCard(
            architecture,
            data.height,
            data.width,
            settings.crop_bottom,
            trained_on=data.dataset.in_card(settings),
            resize=settings.resize,
            seen=tuple(dict.fromkeys([*before, *data.dataset.marks(settings)])),
            has_pose=architecture.sources > 0,
        )
        return card if self.unit is None else replace(card, scale="metres", **asdict(self.unit))

    def _architecture(self) -> MonoArchitecture:
        config, m = self.config, self.config.model
        a = as_configured(config) if self.known is None else read_card(self.known).architecture
        if isinstance(a, ManyArchitecture) != (m.model == "many"):
            raise InputError(f"{self.known}: --model {m.model} cannot begin with this model; see --teacher")
        if self.fresh_pose:  # it begins with short steps: a free unit becomes the typical depth
            unit = 1.0 if self.unit else typical_depth(open_start(str(self.start)), self.dataset)
            pose = {name: getattr(m, name) for name in ("pose_type", "pose_input", "pose_encoder")}
            a = replace(a, **pose, min_depth=a.min_depth / unit, max_depth=a.max_depth / unit)
        return replace(a, sources=len(config.neighbours), stereo=self.unit is not None)

    def _refuse_other_unit(self, teacher: str) -> None:
        """A student learns in the unit of its teacher, whose poses it takes: it must be the stereo pairs'."""
        card, unit = read_card(teacher), self.unit
        if unit and not (card.architecture.stereo and abs(card.factor / unit.factor - 1) < 0.05):
            raise InputError(
                f"--teacher {teacher}: its unit is not the stereo pairs' {unit.factor:.4g} m; wanted a "
                "teacher trained with --stereo also and the same --baseline"
            )


def as_configured(config: TrainConfig) -> MonoArchitecture:
    """The networks that the flags describe. Fine-tuning (--start-from) keeps those of its folder instead."""
    many, described = config.many, config.model
    chosen = {f.name: getattr(described, f.name) for f in fields(NetworkSettings)}
    chosen["sources"] = len(config.neighbours)
    if config.model.model == "mono":
        return MonoArchitecture(**chosen)
    if many.teacher is not None:
        known = read_card(many.teacher).architecture
        chosen = {f.name: getattr(known, f.name) for f in fields(MonoArchitecture)}
    return ManyArchitecture(
        **chosen,
        hypotheses=many.hypotheses,
        spacing=many.spacing or ("inverse" if many.match_by == "pixels" else "linear"),
        matching=config.matching,
        match_by=many.match_by,
        rectified=is_rectified(chosen["encoder"]),
    )


def open_start(folder: str | Path) -> DepthNet:
    """A model folder's depth network as a constant: on the CPU, in evaluation mode, without gradients."""
    model, _ = load_model(folder)
    assert isinstance(model, MonoDepth)
    return model.depth.requires_grad_(False)


def keep_start(run: Path, start: str | Path) -> None:
    """Store the depth network of the model folder `start` in the run."""
    model, card = load_model(start)
    assert isinstance(model, MonoDepth)
    model.pose = NoPose()
    save_model(run / START_FOLDER, model, replace(card, has_pose=False))


def typical_depth(start: DepthNet, dataset: ClipDataset) -> float:
    """Median depth of 8 training frames, in the start's unit."""
    return float(_depths(start, dataset).median())


def depth_range(teacher: DepthNet, dataset: ClipDataset) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The range of the first sweeps, by the teacher's depth of 8 training frames."""
    unknown = torch.tensor(0.0)
    return running_range(unknown, unknown, _depths(teacher, dataset), momentum=0.0)


@torch.no_grad()
def _depths(network: DepthNet, dataset: ClipDataset) -> Float[Tensor, "B H W"]:
    """Of 8 training frames, spread evenly, as in prediction."""
    frames = [i for batch in spread_out(len(dataset), 8, 8) for i in batch]
    training = network.training
    try:
        return 1 / network.eval()(dataset.batch(frames).frames[:, 0].float() / 255)
    finally:
        network.train(training)


def starting_cameras(dataset: ClipDataset) -> Float[Tensor, "N 3 3"]:
    """K that training begins with, one for each camera of the data set, in pixels of the training size."""
    first = {clip.camera: number for number, clip in reversed(list(enumerate(dataset.reader.clips)))}
    return torch.stack([dataset.reader.frame(first[camera], 0).intrinsics for camera in sorted(first)])


@torch.no_grad()
def _start_at(network: MonoDepth | ManyDepth, depth: float) -> None:
    """Let untrained networks predict this depth at every pixel. With sigmoid 0.5 the stereo partner is
    sampled a third of the image away, where no gradient leads back."""
    low, high = (1 / x for x in (network.architecture.max_depth, network.architecture.min_depth))
    sigmoid = torch.tensor((1 / depth - low) / (high - low))
    for net in (network.depth, network.teacher) if isinstance(network, ManyDepth) else (network.depth,):
        for head in net.decoder.heads:
            head.bias.fill_(sigmoid.logit(1e-3))  # type: ignore[operator]
