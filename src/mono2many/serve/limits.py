"""What one upload may cost. Without torch."""

from dataclasses import dataclass

from mono2many.errors import InputError


@dataclass(frozen=True)
class Limits:
    """Of one upload."""

    max_seconds: float = 120.0
    """Of computing for one upload: a video is predicted as far as that reaches."""
    max_megabytes: float = 100.0
    """Of one upload."""
    max_megapixels: float = 25.0
    """Of an image, or of a video's frame."""
    keep_minutes: float = 10.0
    """After which uploads and results are removed; at the end all are."""

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_megabytes", "max_megapixels", "keep_minutes"):
            if not getattr(self, name) > 0:
                raise InputError(f"--{name.replace('_', '-')} must be positive, got {getattr(self, name):g}")

    def __str__(self) -> str:
        return (
            f"Limits: {self.max_megabytes:g} MB, {self.max_megapixels:g} megapixels, {self.max_seconds:g} s "
            "of computing (a video is predicted as far as that reaches). Uploads and results stay on this "
            f"server and are removed after {self.keep_minutes:g} minutes."
        )

    def check_pixels(self, name: str, height: int, width: int) -> None:
        """InputError for too many."""
        if height * width > self.max_megapixels * 1e6:
            raise InputError(
                f"{name}: {width}x{height} is {height * width / 1e6:.1f} megapixels; this page takes up to "
                f"{self.max_megapixels:g}: shrink it"
            )
