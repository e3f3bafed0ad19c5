"""How fast this machine is: `mono2many bench`."""

from dataclasses import dataclass

from mono2many.commands.flags import parse
from mono2many.commands.inputs import model_must_exist
from mono2many.datasets.base import at_least, network_size
from mono2many.devices import Device


@dataclass(frozen=True)
class BenchConfig:
    """Measure how fast this machine trains and predicts, beside a fixed reference computation."""

    height: int = 192
    """Image height in pixels, a multiple of 32."""
    width: int = 640
    """Image width in pixels, a multiple of 32."""
    batch_size: int = 4
    """Samples per step."""
    steps: int = 5
    """Timed steps of each row; their median is printed."""
    compile: bool = False
    """Also time the whole step (--export: the depth network) with torch.compile."""
    export: bool = False
    """Time prediction in every runtime instead: eager, bf16, ONNX Runtime, OpenVINO fp32, fp16, int8."""
    model: str = "starter"
    """With --export: model folder."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    json: str | None = None
    """Write all figures to this file."""

    def __post_init__(self) -> None:
        network_size(self.height, self.width)
        at_least("--batch-size", self.batch_size, 1)
        at_least("--steps", self.steps, 1)


def run(arguments: list[str]) -> None:
    config = parse(BenchConfig, "mono2many bench", arguments)
    model_must_exist("--model", config.model, weights=True)
    from mono2many.bench import bench

    bench(config)
