"""The data sets by name. A new one is a file here and a line below."""

from mono2many.datasets.base import Dataset
from mono2many.datasets.cityscapes import CITYSCAPES
from mono2many.datasets.ddad import DDAD
from mono2many.datasets.kitti import KITTI
from mono2many.datasets.kitti_odometry import KITTI_ODOMETRY
from mono2many.datasets.street import STREET
from mono2many.datasets.video import VIDEO

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (STREET, VIDEO, *KITTI, KITTI_ODOMETRY, DDAD, CITYSCAPES)
}
DEFAULT = STREET
"""What is read where no --datatype is given."""
IMPORTED = "kitti_eigen"
"""What scores published weights, which were trained on KITTI."""
LAYOUTS = {dataset.layout: dataset for dataset in DATASETS.values() if dataset.layout}
"""Those that the embedded street can be written as."""
