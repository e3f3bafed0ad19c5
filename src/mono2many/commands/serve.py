"""A web page that predicts depth: `mono2many serve`."""

import os
import sys
from dataclasses import dataclass
from threading import Event

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist
from mono2many.devices import Device
from mono2many.errors import InputError, one_line
from mono2many.serve.limits import Limits

QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
"""In the environment: no analytics, no question for newer versions."""
OPEN = "whoever reaches this machine can use the page; there is no password and no encryption"


@dataclass(frozen=True)
class ServeConfig(Limits):
    """A web page on this machine: upload an image or a video, see and download its depth."""

    model: tuple[str, ...] = ("starter",)
    """Model folders to choose from; the first is chosen at first."""
    host: str = "127.0.0.1"
    """Address to listen on; by default this machine alone. 0.0.0.0: the network, without any password."""
    port: int = 7860
    """Port to listen on."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise InputError("--model: name a model folder, or leave it out for the starter")
        if not 1 <= self.port <= 65535:
            raise InputError(f"--port must lie in 1 .. 65535, got {self.port}; try 7860")


def run(arguments: list[str]) -> None:
    config = parse(ServeConfig, "mono2many serve", arguments)
    for model in config.model:
        model_must_exist("--model", model)
    os.environ |= QUIET
    from mono2many.predict.predictor import load
    from mono2many.serve.page import serving

    predictors = {model: load(model, config.device) for model in config.model}
    with serving(predictors, config.host, config.port, config) as address:
        if not config.host.startswith(("127.", "localhost", "::1")):
            print(one_line(f"--host {config.host}: {OPEN}"), file=sys.stderr)
        print(one_line(f"{', '.join(config.model)} at {address} (Ctrl-C ends it)"), flush=True)
        Event().wait()
