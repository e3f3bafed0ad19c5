"""Flags that users of Monodepth2, ManyDepth, Ultralytics and Depth Anything 3 know, and what they are here.

A value is a flag of the command, perhaps with its value, or of another command that it names; or words about
what makes the flag needless. tests/test_habits.py checks that each named flag exists.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

IMAGES = "the path alone, without a flag"
TRAIN = {
    "--num_layers": "--encoder resnet18 (or resnet50)",
    "--frame_ids": "--frame-step, the distance of the two neighbours; for the stereo partner --stereo also",
    "--use_stereo": "--stereo also",
    "--split": "--datatype kitti_eigen_zhou",
    "--load_weights_folder": "--start-from FOLDER",
    "--models_to_load": "--start-from FOLDER, which reads all networks",
    "--weights": "--start-from FOLDER",
    "-m": "--start-from FOLDER",
    "--weights_init": "--encoder-weights imagenet (or none)",
    "--pretrained": "--encoder-weights imagenet (or none)",
    "--model_name": "--name",
    "--log_dir": "--out",
    "--num_epochs": "--epochs",
    "--scheduler_step_size": "--schedule step",
    "--cos_lr": "--schedule cosine",
    "--lr": "--learning-rate",
    "--lr0": "--learning-rate",
    "--optimizer": "--optimiser",
    "--amp": "--precision bf16",
    "--disparity_smoothness": "--smoothness",
    "--v1_multiscale": "--multi-scale own",
    "--avg_reprojection": "--combine average",
    "--disable_automasking": "--no-automask",
    "--pose_model_type": "--pose-type",
    "--pose_model_input": "--pose-input",
    "--log_frequency": "--log-every",
    "--save_frequency": "--save-every",
    "--save_period": "--save-every",
    "--mono_weights_folder": "--teacher FOLDER",
    "--freeze_teacher_epoch": "--freeze-from, a share of the training",
    "--freeze_teacher_step": "--freeze-from, a share of the training",
    "--freeze_teacher_and_pose": "--freeze-from 0",
    "--num_depth_bins": "--hypotheses",
    "--depth_binning": "--spacing",
    "--num_matching_frames": "--matching -1 -2",
    "--use_future_frame": "--matching -1 1",
}
EVALUATE = {
    "--eval_split": "--datatype kitti_eigen",
    "--ext_disp_to_eval": "--predictions FILE.npy",
    "--eval_mono": "--alignment median",
    "--eval_stereo": "--alignment stereo",
    "--disable_median_scaling": "--alignment none",
    "--pred_depth_scale_factor": "--alignment FACTOR",
    "--post_process": "--flip",
    "--save_pred_disps": "mono2many predict --save npy",
    "--plots": "--report FILE.html",
}
PREDICT = {
    "--source": IMAGES,
    "--image_path": IMAGES,
    "--img_path": IMAGES,
    "--target_image_path": IMAGES,
    "--source_image_path": "a folder or video, without a flag: its earlier frames are matched",
    "--data_path": IMAGES,
    "--input": IMAGES,
    "-i": IMAGES,
    "--intrinsics_json_path": "--camera FILE.json",
    "--pred_metric_depth": "mono2many scale --scale-from, which stores the unit with the model",
    "--outdir": "--out",
    "--export_dir": "--out",
    "--export_format": "--save",
    "--pred_only": "--save colour",
    "--grayscale": "--save png16",
    "--process_res": "needless: images are resized to the size of the model, and depth back",
    "--imgsz": "needless: images are resized to the size of the model, and depth back",
    "--input_size": "needless: images are resized to the size of the model, and depth back",
    "--encoder": "--model FOLDER",
    "--model_name": "--model FOLDER",
}
EVERY = {
    # where the command has that flag
    "--data_path": "--data",
    "--dataset": "--datatype",
    "--png": "needless: PNG and JPEG are read alike",
    "--ext": "needless: PNG and JPEG are read alike",
    "--load_weights_folder": "--model FOLDER",
    "--model_dir": "--model FOLDER",
    "--weights": "--model FOLDER",
    "-m": "--model FOLDER",
    "-o": "--out",
    "--output": "--out",
    "--project": "--out",
    "--imgsz": "--height and --width",
    "--batch": "--batch-size",
    "--num_workers": "--workers",
    "--no_cuda": "--device cpu",
}
OWN: Mapping[str, Mapping[str, str]] = {"train": TRAIN, "evaluate": EVALUATE, "predict": PREDICT}
COMMANDS = {
    "eval": "evaluate",
    "val": "evaluate",
    "test": "evaluate",
    "infer": "predict",
    "detect": "predict",
    "video": "predict VIDEO",
    "image": "predict IMAGE",
    "images": "predict FOLDER",
    "auto": "predict PATH",
}
"""Commands of theirs."""


def here(program: str, flag: str, flags: AbstractSet[str]) -> str | None:
    """What a flag of another program is for `mono2many COMMAND`, which has `flags`; None: not known."""
    key = "--" + flag[2:].replace("-", "_") if flag.startswith("--") else flag
    text = OWN.get(program.removeprefix("mono2many "), {}).get(key)
    if text is None and named_flags(EVERY.get(key, "")) <= flags:
        text = EVERY.get(key)
    return None if text is None else text if text.startswith("needless") else f"here it is {text}"


def named_flags(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text))
