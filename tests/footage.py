"""Small films, folders of images, camera files and lists of clips for the tests of the video data set."""

import json

import torch

from mono2many.datasets.base import ReadOptions
from mono2many.datasets.video import VideoData
from mono2many.datasets.video.reader import VideoReader
from mono2many.io.images import write_image
from mono2many.io.videos import VideoWriter

HEIGHT, WIDTH = 32, 64


def level(i):
    """Grey level of frame i."""
    return 5 * i + 20


def make_video(path, frames=20):
    with VideoWriter(path, fps=25.0) as video:
        for i in range(frames):
            video.write(torch.full((3, 64, 128), level(i), dtype=torch.uint8))
    return str(path)


def make_folder(path, frames=10, height=48):
    for i in range(frames):
        write_image(path / f"frame{i}.png", torch.full((3, height, 96), level(i), dtype=torch.uint8))
    return str(path)


def make_camera(path, width=128, height=64, **more):
    values = {"width": width, "height": height, "fx": 100.0, "fy": 100.0, "cx": 63.5, "cy": 31.5}
    path.write_text(json.dumps(values | more))
    return str(path)


def make_list(path, listed, **more):
    """Of clips of the film a.mp4 beside it."""
    film = path.parent / "a.mp4"
    values = {
        "format": "mono2many-clips",
        "version": 1,
        "film": film.name,
        "bytes": film.stat().st_size if film.exists() else 0,
        "width": 128,
        "height": 64,
        "fps": 25.0,
        "clips": [{"frames": frames, "times": [i / 25 for i in frames]} for frames in listed],
    }
    path.write_text(json.dumps(values | more))
    return str(path)


def opened(*paths, split="train", size=(HEIGHT, WIDTH), crop_bottom=0.0, **more):
    settings = VideoData(paths, **({"fov": 60.0} | more))
    return VideoReader(settings, ReadOptions(*size, crop_bottom=crop_bottom), split)


def mean(reader, clip, index):
    return reader.frame(clip, index).image.float().mean().item()
