"""The starter: a model that comes with the package. `starter` names it wherever a model folder is named."""

from pathlib import Path

from mono2many.errors import InputError
from mono2many.files import read_json, user_path

STARTER = "starter"
EXPORTED = "exported"
"""Key of config.json in the folder of an export, which holds no weights."""
FOLDER = Path(__file__).parents[1] / "weights" / STARTER


def model_folder(name: str | Path) -> Path:
    """Where a model lies. The bare word `starter` is the package's own; `./starter` is a folder of yours."""
    return FOLDER if name == STARTER else user_path(name)


def best_of(name: str | Path, last: bool = False) -> Path:
    """The folder of a run's best model, by validation error, or of its last; another model folder is itself.
    `name`: as of model_folder."""
    folder = model_folder(name)
    best = folder / "best"
    whole = all((best / file).exists() for file in ("config.json", "model.safetensors"))
    return best if whole and not last else folder


def remedy(folder: Path, otherwise: str) -> str:
    """What to do where a file of `folder` is missing or damaged."""
    damaged = "the installation is damaged: pip install --force-reinstall mono2many"
    return damaged if folder == FOLDER else otherwise


def is_export(folder: Path) -> bool:
    """Whether it is the folder of an export; False where it is damaged or not there."""
    try:
        return EXPORTED in read_json(folder / "config.json", "")
    except InputError:
        return False


def refuse_exported(folder: Path) -> None:
    """InputError for the folder of an export. Whoever opens one that is damaged or not there says so."""
    if is_export(folder):
        raise InputError(
            f"{folder}: is an export, which has no weights to train or change; give the model folder that it "
            "was made of"
        )
