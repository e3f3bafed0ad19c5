"""Which data set a command reads: its settings are those of `--datatype`, and no other's."""

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

import tyro

from mono2many.datasets import DATASETS, DEFAULT, IMPORTED, register_installed
from mono2many.datasets.base import Dataset, DatasetSettings, at_least, common, network_size
from mono2many.errors import InputError, nearest

Datatype = Annotated[
    str,
    tyro.conf.arg(metavar="NAME", help="; ".join(f"{d.name}: {d.summary}" for d in DATASETS.values()) + "."),
]
"""The name of a data set; its help is made of the registry."""
Use = Literal["settings", "training", "scoring"]
"""Which of a data set's settings: of every command, of train and check, of evaluate."""


@dataclass(frozen=True)
class DataConfig:
    """Data set, and the distance of neighbours."""

    datatype: Datatype = DEFAULT.name
    frame_step: int = 1
    """Neighbours are this many frames away: more for slow cameras or high frame rates."""

    def __post_init__(self) -> None:
        find(self.datatype)
        at_least("--frame-step", self.frame_step, 1)

    @property
    def dataset(self) -> Dataset:
        return find(self.datatype)


def find(name: str) -> Dataset:
    """The data set of a `--datatype`. Raises InputError for one that does not exist."""
    if name not in DATASETS:
        register_installed(name)
    if name not in DATASETS:
        raise InputError(f"--datatype {name}: wanted one of {', '.join(DATASETS)}{nearest(name, DATASETS)}")
    return DATASETS[name]


def settings_of(dataset: Dataset, use: Use) -> type[DatasetSettings]:
    """The class of its settings for a use. Raises InputError where the data set is not for that."""
    kind: type[DatasetSettings] | None = getattr(dataset, use)
    if kind is not None:
        return kind
    if use == "training":
        others = [d.name for d in DATASETS.values() if d.scored_on == dataset.name]
        raise InputError(f"--datatype {dataset.name} is a list to score on; train on {' or '.join(others)}")
    raise InputError(f"--datatype {dataset.name} is a list to train on; score on {dataset.scorer}")


@dataclass(frozen=True)
class TrainingData(DataConfig):
    """Training data and image size."""

    height: int = 192
    """Training height in pixels, a multiple of 32, 64 or more."""
    width: int = 640
    """Training width in pixels, a multiple of 32, 64 or more."""
    workers: int = 2
    """Processes that read and decode images and draw streets; videos are decoded by one."""
    cache: Literal["on", "off"] = "on"
    """on: decode every frame once into a packed file at training size. off: open the originals each time."""
    cache_dir: str | None = None
    """Folder of the packed files; default: $MONO2MANY_CACHE, else ~/.cache/mono2many."""

    def __post_init__(self) -> None:
        super().__post_init__()
        settings_of(self.dataset, "training")
        network_size(self.height, self.width)
        at_least("--workers", self.workers, 0)


def default_training() -> DatasetSettings:
    """Those of the data set that is trained on where no other is named."""
    return settings_of(DEFAULT, "training")()


def carried_over(
    name: str | None, use: Use, trained: Dataset, settings: DatasetSettings, other_data: bool
) -> tuple[Dataset, DatasetSettings]:
    """The data set and settings with which a model of a run is used: those of its training, as far as they
    hold for data set `name` (None: the one that scores such a model). other_data: --data is given."""
    dataset = find(name or (trained.scorer if use == "scoring" else trained.name))
    kind = settings_of(dataset, use)
    if not dataset.related(trained) or (other_data and not trained.listed):
        return dataset, kind()
    values = common(kind, settings)
    if use == "scoring":  # the lists of its training are no test
        values.pop("split_files", None)
    return dataset, kind(**values)


def named_in_card(text: str) -> Dataset | None:
    """The data set that a model's card says it was trained on; None where it names files, or nothing."""
    if text.startswith("imported from"):
        return find(IMPORTED)
    if text.startswith(("the procedural street", "the embedded street")):  # the starter's, of any version
        return DEFAULT
    name = text.split(",")[0]
    with suppress(InputError):  # it names files, or a data set that is not installed here
        return find(name)
    return None


def owners(flag: str) -> list[str]:
    """The data sets that have a flag such as `--max-gap`."""
    return [dataset.name for dataset in DATASETS.values() if flag in flags_of_dataset(dataset)]


def flags_of_dataset(dataset: Dataset) -> set[str]:
    """For all its uses."""
    kinds: list[Any] = [kind for use in get_args(Use) if (kind := getattr(dataset, use)) is not None]
    return {"--" + f.name.replace("_", "-") for kind in kinds for f in fields(kind)}


def data_set_flags() -> set[str]:
    """Of all data sets."""
    return {flag for dataset in DATASETS.values() for flag in flags_of_dataset(dataset)}


def time_offsets(frame_step: int) -> tuple[int, ...]:
    """The neighbours that a loss or score compares a frame with, relative to it in frames."""
    return (-frame_step, frame_step)


def all_offsets(neighbours: tuple[int, ...], matching: tuple[int, ...] = ()) -> tuple[int, ...]:
    """All frames read with a target: its neighbours, then further ones that a cost volume alone compares."""
    return tuple(dict.fromkeys((*neighbours, *matching)))
