"""What a command is to read is there: asked before PyTorch is imported, which takes seconds."""

from collections.abc import Iterable
from pathlib import Path

from mono2many.datasets.base import Dataset, DatasetSettings
from mono2many.errors import InputError
from mono2many.models.starter import STARTER, best_of, model_folder, refuse_exported


def must_exist(flag: str, paths: Iterable[str | Path | None], remedy: str = "check the path") -> None:
    """InputError where one of the files or folders that a flag names is not there."""
    for path in paths:
        pattern = path is not None and any(sign in str(path) for sign in "*?[")  # the reader's
        if path is not None and not pattern and not Path(path).expanduser().exists():
            named = f"{flag} {path}".strip()
            raise InputError(f"{named}: no such file or folder; {remedy}")


def model_must_exist(flag: str, name: str | None, weights: bool = False) -> None:
    """InputError where a flag ("": no flag) names no model folder, nor `starter`. weights: nor may it name
    an export, which has none."""
    if name is None or name == STARTER:
        return
    folder = model_folder(name)
    card = folder / "config.json"
    if card.exists():
        if weights:
            refuse_exported(best_of(name))
        return
    near = [folder.parent / "config.json", *sorted(folder.glob("*/config.json"))]  # a file of it, or runs
    hint = next((f"; did you mean {path.parent}?" for path in near if path.exists()), "")
    wanted = f"{flag} needs" if flag else "wanted"
    maker = "`mono2many train`" if weights else "`mono2many train` or `export`"
    raise InputError(f"{card}: no such file; {wanted} a folder that {maker} wrote, or starter{hint}")


def data_must_exist(dataset: Dataset, settings: DatasetSettings, run: Path | None = None) -> None:
    """InputError where a folder or file of the data is not there. run: the run.json that names it, where no
    flag does."""
    if run is not None:
        moved = "go to the folder where the run was started, or name its data with --datatype and --data"
        must_exist(f"data in {run}:", settings.sources, moved)
    must_exist("--data", settings.sources, dataset.absent)
    must_exist("--camera", (name for name in getattr(settings, "camera", ()) if name != "learn"))
