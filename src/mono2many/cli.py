"""The command `mono2many`. Nothing heavy is imported until a command really runs."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

from mono2many import __version__
from mono2many.commands import (
    BenchConfig,
    CacheConfig,
    CheckConfig,
    EvaluateConfig,
    ImportWeightsConfig,
    InfoConfig,
    ModelTestConfig,
    PredictConfig,
    PrepareCityscapesConfig,
    PrepareKittiConfig,
    PrepareSyntheticConfig,
    PrepareVideoConfig,
    ScaleConfig,
    StreetConfig,
)
from mono2many.config import Recipe, RunConfig, SourceConfig, TrainConfig
from mono2many.errors import InputError
from mono2many.flags import Config, nearest, parse, value_of
from mono2many.models.starter import STARTER, model_folder
from mono2many.recipes import from_json, recipe

HELP = """mono2many {version}: depth and camera motion from ordinary video

usage: mono2many COMMAND [OPTIONS]          mono2many COMMAND --help   lists the options
                                            mono2many COMMAND --debug  shows where an error comes from

  train      learn depth from videos, folders of images, or the embedded street
  evaluate   score a model: depth metrics, or how well it explains unseen frames
  predict    depth of images, folders and videos; the camera's way through them
  info       what a model is and was trained on; info starter: of the one that comes with mono2many
  scale      find out how many metres a model's unit is, and store it with the model
  prepare    video: cuts, standing and blurred frames of your own films. kitti: fetch, unpack, check.
             cityscapes: in small. synthetic: the embedded street in their layouts
  check      look at data before training on it
  import-weights  published MonoDepth and ManyDepth weights as a model folder
  cache      list, check and prune the cache of decoded frames
  bench      how fast this machine trains and predicts
  street     the embedded street as a film with its camera file, to try things on
"""


NO_MODEL = (
    "no --model is named: this is the starter, which comes with mono2many (mono2many info starter); to adapt "
    "it: mono2many train --start-from starter --datatype video --data FILM --camera FILE.json"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a mistake of the user's is one line on stderr and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP.format(version=__version__), end="")
        return
    if arguments[0] in ("-V", "--version"):
        print(f"mono2many {__version__}")
        return
    name, rest = arguments[0], arguments[1:]
    if name not in COMMANDS:
        known = f"unknown command {name!r}{nearest(name, COMMANDS)}; mono2many --help lists them"
        print(f"mono2many: {known}", file=sys.stderr)
        sys.exit(2)
    run(COMMANDS[name], f"mono2many {name}", rest)


def run(command: Callable[[list[str]], None], program: str, arguments: list[str]) -> None:
    """A command, whose user's mistakes end it with one line on stderr and status 2; with --debug they, and
    what the operating system refuses, come with their traceback."""
    debug = "--debug" in arguments
    try:
        command([word for word in arguments if word != "--debug"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python writes there at its end
        sys.exit(1)
    except (InputError, OSError) as error:
        if debug:
            raise
        # a loader's process wraps the message in its own traceback
        if isinstance(error, OSError) and error.strerror:
            error = InputError(
                f"{error.filename or 'a file'}: {error.strerror}; check the path and its rights"
            )
        said = str(error).strip().splitlines()[-1].removeprefix("mono2many.errors.InputError: ")
        print(f"{program}: {said}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def model_train(arguments: list[str]) -> None:
    """`python model_train.py`: `train` with a folder for each data set."""
    own, datatype = (value_of(arguments, flag) for flag in ("--name", "--datatype"))
    _train(arguments if own or not datatype else [*arguments, "--name", datatype])


def model_test(arguments: list[str]) -> None:
    """`python model_test.py`: the newest model on KITTI's test lists."""
    config = parse(ModelTestConfig, "model_test.py", arguments)
    from rich.console import Console

    from mono2many.evaluate.kitti import model_test as test

    test(config, Console())


def _train(arguments: list[str]) -> None:
    config = parse(TrainConfig, "mono2many train", arguments, _base(arguments))
    from mono2many.train.loop import train

    train(config)


def _base(arguments: list[str]) -> TrainConfig:
    """What the flags change: a run's own settings (--resume, --config), a recipe, or the defaults."""
    name, path = value_of(arguments, "--recipe"), value_of(arguments, "--config")
    if path is not None and name is not None:
        raise InputError("--config and --recipe are both given; a run.json already holds all settings")
    if path is not None:
        config = from_json(path)
        return replace(config, run=replace(config.run, config=path))
    run = RunConfig()
    out, run_name = value_of(arguments, "--out") or run.out, value_of(arguments, "--name") or run.name
    own = Path(out) / run_name / "run.json"
    if "--resume" in arguments and name is None and own.exists():
        return from_json(own)
    if "--resume" in arguments and not any(
        value_of(arguments, f) for f in ("--recipe", "--data", "--datatype")
    ):
        raise InputError(
            f"--resume: no run in {own.parent} (it has no run.json); check --out and --name, or say what to "
            "begin with: --datatype, --data, --recipe"
        )
    return recipe(name) if name in get_args(Recipe) else TrainConfig()  # type: ignore[arg-type]


def _evaluate(arguments: list[str]) -> None:
    config = parse(EvaluateConfig, "mono2many evaluate", arguments, _trained_on(arguments, EvaluateConfig))
    if config.model is not None:
        config = replace(config, data=_with_learnt_cameras(config.model, config.data))
    from mono2many.evaluate.run import evaluate

    evaluate(config)


def _trained_on(arguments: list[str], kind: type[Config]) -> Config | None:
    """The data and hold-out of the run that made the model, where no other data is named; its frame step."""
    name = value_of(arguments, "--model")
    if name is None or name == STARTER:
        return None
    folder = Path(name)
    card = folder / "config.json"
    if kind is EvaluateConfig and not card.exists() and not (folder / "run.json").exists():
        raise InputError(
            f"{card}: no such file; --model wants a folder that `mono2many train` wrote, or starter"
        )
    if not (folder / "run.json").exists():
        imported = card.exists() and '"trained_on": "imported from' in card.read_text(errors="replace")
        if imported and not value_of(arguments, "--datatype"):
            return kind(model=name, data=SourceConfig("kitti_eigen"))  # type: ignore[call-arg]
        return None
    trained = from_json(folder / "run.json", lenient=True).data
    kept: dict[str, Any] = {n: getattr(trained, n) for n in ("allow_missing", "intrinsics", "grey")}
    if trained.kitti and kind is EvaluateConfig and not value_of(arguments, "--datatype"):
        # its own frames are no test
        odometry = trained.datatype == "kitti_odometry"
        data = replace(SourceConfig("kitti_odometry" if odometry else "kitti_eigen", trained.data), **kept)
    elif trained.kitti and (value_of(arguments, "--datatype") or "").startswith("kitti"):
        data = replace(SourceConfig("kitti_eigen", trained.data), **kept)
    elif value_of(arguments, "--datatype") or (value_of(arguments, "--data") and not trained.listed):
        data = SourceConfig(frame_step=trained.frame_step)
    else:
        data = SourceConfig(**{f.name: getattr(trained, f.name) for f in fields(SourceConfig)})
        data = replace(data, split_files=()) if kind is EvaluateConfig else data
    return kind(model=name, data=data)  # type: ignore[call-arg]


def _with_learnt_cameras(model: str, data: SourceConfig) -> SourceConfig:
    """`--camera learn` of a trained model: the camera files that its training wrote."""
    if not data.learns_camera or data.datatype == "synthetic":
        return data
    folder = model_folder(model)
    files = sorted((folder / "cameras").glob("*.json"), key=lambda path: int(path.stem))
    if len(files) not in (1, len(data.data)):
        raise InputError(
            f"--camera learn: {folder / 'cameras'} holds {len(files)} learnt cameras for "
            f"{len(data.data)} of --data; give the camera files: --camera FILE.json ..."
        )
    return replace(data, camera=tuple(map(str, files)), fov=None)


def _predict(arguments: list[str]) -> None:
    config = parse(PredictConfig, "mono2many predict", arguments)
    from mono2many.io.camera_file import camera_for
    from mono2many.predict.files import predict_files
    from mono2many.predict.predictor import load

    predictor = load(config.model, config.device)
    if value_of(arguments, "--model") is None:
        print(NO_MODEL, file=sys.stderr)
    camera = camera_for(config.camera, config.fov) if config.camera or config.fov else None
    written = []
    if config.save or not config.poses:
        written += predict_files(
            predictor,
            config.inputs,
            config.out,
            config.save,
            config.flip,
            config.batch_size,
            intrinsics_of=camera,
        )
    if config.poses:
        from mono2many.predict.trajectory import predict_trajectories

        rest = (config.batch_size, camera, config.refine_motion)
        written += predict_trajectories(predictor, config.inputs, config.out, config.poses, *rest)
    unit = "in metres" if predictor.card.scale == "metres" else "known up to scale"
    files = "1 file" if len(written) == 1 else f"{len(written)} files"
    print(f"{files} in {config.out}; {'the way' if config.poses else 'depth'} is {unit}")


def _scale(arguments: list[str]) -> None:
    config = parse(ScaleConfig, "mono2many scale", arguments, _trained_on(arguments, ScaleConfig))
    config = replace(config, data=_with_learnt_cameras(config.model, config.data))
    from mono2many.evaluate.scale import find_scale

    find_scale(config)


def _prepare(arguments: list[str]) -> None:
    kind, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if kind in ("-h", "--help"):
        print(
            "usage: mono2many prepare KIND --help  tells more of each kind\n\n" + "\n".join(PREPARES.values())
        )
        return
    if kind not in PREPARES:
        raise InputError(f"prepare what? got {kind or 'nothing'}, wanted {', '.join(PREPARES)}")
    if kind == "kitti":
        return _prepare_kitti(rest)
    if kind == "synthetic":
        return _prepare_synthetic(rest)
    if kind == "cityscapes":
        return _prepare_cityscapes(rest)
    config = parse(PrepareVideoConfig, "mono2many prepare video", rest)
    from mono2many.data.prepare import prepare_video

    prepare_video(config.inputs, config.out, config.fps, config.shortest)


PREPARES = {
    "video": "  mono2many prepare video FILM...             list what can be learnt from in films",
    "kitti": "  mono2many prepare kitti                     fetch KITTI raw, unpack it, check it",
    "cityscapes": "  mono2many prepare cityscapes                small, without hood: originals can go",
    "synthetic": "  mono2many prepare synthetic --layout kitti  the embedded street in one of the layouts",
}


def _prepare_kitti(arguments: list[str]) -> None:
    config = parse(PrepareKittiConfig, "mono2many prepare kitti", arguments)
    from rich.console import Console

    from mono2many.data.kitti_check import check_kitti
    from mono2many.data.kitti_prepare import BUCKET, PrepareSettings, archives, needs_of, prepare_kitti

    console, base, root = Console(highlight=False), config.url or BUCKET, Path(config.data)
    needs = needs_of(() if config.split_files else config.splits, config.split_files)
    if config.list:
        print("\n".join(archives(needs, base).values()))
    elif config.check:
        if not check_kitti(root, needs, console, config.workers):
            sys.exit(1)
    else:
        settings = PrepareSettings(
            config.workers, base, config.png, config.whole, config.keep_archives, config.convert_own
        )
        prepare_kitti(root, needs, settings, console)


def _prepare_cityscapes(arguments: list[str]) -> None:
    config = parse(PrepareCityscapesConfig, "mono2many prepare cityscapes", arguments)
    from mono2many.data.cityscapes_prepare import prepare_cityscapes

    data, out, rest = Path(config.data), Path(config.out), (config.width, config.workers)
    done = prepare_cityscapes(data, out, config.splits, *rest, config.allow_missing)
    print(f"{out}: {sum(len(snippet.files) for snippet in done)} frames of {len(done)} snippets")


def _prepare_synthetic(arguments: list[str]) -> None:
    config = parse(PrepareSyntheticConfig, "mono2many prepare synthetic", arguments)
    from rich.progress import Progress

    from mono2many.data.cityscapes_street import write_city_street
    from mono2many.data.dgp_street import write_dgp_street
    from mono2many.data.kitti_street import write_kitti_street
    from mono2many.data.odometry_street import write_odometry_street

    write = {"kitti": write_kitti_street, "odometry": write_odometry_street, "dgp": write_dgp_street}
    write |= {"cityscapes": write_city_street}
    with Progress(transient=True) as bar:
        task = bar.add_task("drawing the street", total=None)
        root = write[config.layout](
            Path(config.out),
            config.drives,
            config.frames,
            config.height,
            config.width,
            config.seed,
            lambda done, total: bar.update(task, completed=done, total=total),
            config.workers,
        )
    layout, reads = {
        "kitti": ("KITTI's", "kitti_eigen_zhou"),
        "odometry": ("KITTI odometry's", "kitti_odometry"),
        "dgp": ("DDAD's", "ddad"),
        "cityscapes": ("Cityscapes'", "cityscapes"),
    }[config.layout]
    print(f"{root}: the embedded street in {layout} layout, for train --datatype {reads} --data {root}")


def _info(arguments: list[str]) -> None:
    config = parse(InfoConfig, "mono2many info", arguments)
    from mono2many.evaluate.info import info

    info(config.model)


def _cache(arguments: list[str]) -> None:
    config = parse(CacheConfig, "mono2many cache", arguments)
    from mono2many.data.cache_entries import show_cache

    if not show_cache(config.cache_dir, config.check, config.remove_unused):
        sys.exit(1)


def _import_weights(arguments: list[str]) -> None:
    config = parse(ImportWeightsConfig, "mono2many import-weights", arguments)
    from mono2many.models.published import import_weights

    card = import_weights(Path(config.folder), Path(config.out))
    print(f"{config.out}: {card.architecture.encoder}, {card.width}x{card.height}, depth {card.scale}")


def _check(arguments: list[str]) -> None:
    config = parse(CheckConfig, "mono2many check", arguments)
    from mono2many.evaluate.check import check

    if not check(config):
        sys.exit(1)


def _bench(arguments: list[str]) -> None:
    config = parse(BenchConfig, "mono2many bench", arguments)
    from mono2many.bench import bench

    bench(config)


def _street(arguments: list[str]) -> None:
    config = parse(StreetConfig, "mono2many street", arguments)
    from mono2many.street.film import write_film
    from mono2many.street.reader import StreetSettings

    settings = StreetSettings(
        frames=config.frames, height=config.height, width=config.width, variety=config.variety
    )
    film, camera = write_film(config.film, settings, scene=config.scene)
    print(f"{film} and its camera {camera}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "info": _info,
    "cache": _cache,
    "scale": _scale,
    "prepare": _prepare,
    "check": _check,
    "import-weights": _import_weights,
    "bench": _bench,
    "street": _street,
}
