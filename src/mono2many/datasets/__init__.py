"""The data sets by name. A new one is a file here and a line below; one of your own, outside this package, is
registered, or named by an entry point of the group `mono2many.datasets`."""

from importlib.metadata import entry_points

from mono2many.datasets.base import Dataset
from mono2many.datasets.cityscapes import CITYSCAPES
from mono2many.datasets.ddad import DDAD
from mono2many.datasets.kitti import KITTI
from mono2many.datasets.kitti_odometry import KITTI_ODOMETRY
from mono2many.datasets.rgbd import RGBD
from mono2many.datasets.street import STREET
from mono2many.datasets.video import VIDEO
from mono2many.errors import InputError

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (STREET, VIDEO, *KITTI, KITTI_ODOMETRY, DDAD, CITYSCAPES, RGBD)
}
DEFAULT = STREET
"""What is read where no --datatype is given."""
IMPORTED = "kitti_eigen"
"""What scores published weights, which were trained on KITTI."""
LAYOUTS = {dataset.layout: dataset for dataset in DATASETS.values() if dataset.layout}
"""Those that the procedural street can be written as."""
ENTRY_POINTS = "mono2many.datasets"
"""Group of entry points of installed packages: each has the name of a data set and leads to its Dataset."""


def register(dataset: Dataset) -> Dataset:
    """Makes a data set of one's own known by its name, in Python and to every command of this process.
    InputError for a name that another has."""
    if not isinstance(dataset, Dataset):
        raise InputError(f"register needs a mono2many.datasets.base.Dataset, got a {type(dataset).__name__}")
    if DATASETS.setdefault(dataset.name, dataset) is not dataset:
        raise InputError(f"a data set {dataset.name!r} exists already; give yours another name")
    return dataset


def register_installed(name: str) -> None:
    """Registers data set `name` of an installed package, where one has it. InputError where that fails."""
    for place in entry_points(group=ENTRY_POINTS, name=name):
        try:
            dataset = place.load()
        except Exception as error:
            raise InputError(f"--datatype {name}: {place.value} cannot be imported ({error})") from error
        if getattr(dataset, "name", None) != name:
            raise InputError(f"--datatype {name}: {place.value} is no Dataset of that name")
        register(dataset)
