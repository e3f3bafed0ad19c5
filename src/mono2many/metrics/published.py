"""What papers report, to stand below one's own numbers of the same protocol."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedResult:
    """One row of a paper's table."""

    protocol: str
    """Name of the Protocol it was made with."""
    method: str
    values: tuple[float | None, ...]
    """The fields of DepthMetrics in order; None where not published."""
    source: str


GODARD, WATSON = "Godard et al. 2019", "Watson et al. 2021"
PACKNET = "packnet-sfm's own table, Guizilini et al. 2020"
ZHANG, GUIZILINI = "Zhang et al. 2023", "Guizilini et al. 2022"

RESULTS = tuple(
    PublishedResult(protocol, method, (*values, *(None,) * (7 - len(values))), source)
    for protocol, method, values, source in (
        ("eigen-80m", "Monodepth2 R18 640", (0.115, 0.903, 4.863, 0.193, 0.877, 0.959, 0.981), GODARD),
        ("eigen-80m", "Monodepth2 R18 1024", (0.115, 0.882, 4.701, 0.190, 0.879, 0.961, 0.982), GODARD),
        ("eigen-80m", "no ImageNet, R18 640", (0.132, None, None, None, 0.845), GODARD),
        ("eigen-80m", "Lite-Mono 640", (0.107, 0.765, 4.561, 0.183, 0.886), ZHANG),
        ("eigen-80m", "Lite-Mono-8M 640", (0.101, 0.729, 4.454, 0.178, 0.897), ZHANG),
        ("eigen-80m", "ManyDepth 640, 2 fr.", (0.098, 0.770, 4.459, 0.176, 0.900, 0.965, 0.983), WATSON),
        ("eigen-80m", "ManyDepth 1024, 2 fr.", (0.093, 0.715, 4.245, 0.172, 0.909, 0.966, 0.983), WATSON),
        ("eigen-80m", "DepthFormer 640, 2 fr.", (0.090, 0.661, 4.149, 0.175, 0.905, 0.963, 0.982), GUIZILINI),
        ("ddad-200m", "ResNet18 640", (0.227, 11.293, 17.368, 0.303, 0.758), PACKNET),
        ("ddad-200m", "PackNet 640", (0.173, 7.164, 14.363, 0.249, 0.835), PACKNET),
        ("eigen-improved", "DepthFormer 640, 2 fr.", (0.055, 0.271, 2.917, 0.095, 0.955), GUIZILINI),
    )
)
"""640 is 640x192 pixels (DDAD: 640x384), 1024 is 1024x320. Trained on the data set's own monocular videos.
2 fr.: looks at the frame before as well."""


def published(protocol: str) -> list[PublishedResult]:
    """The rows that were made with the very protocol of that name."""
    return [result for result in RESULTS if result.protocol == protocol]
