"""The cache of decoded frames: `mono2many cache`."""

import sys
from dataclasses import dataclass

from mono2many.commands.flags import parse
from mono2many.errors import InputError


@dataclass(frozen=True)
class CacheConfig:
    """List the cache of decoded frames, check it, or remove entries that are no longer used."""

    check: bool = False
    """Read every entry and compare its checksums."""
    remove_unused: float | None = None
    """Remove entries that were not used for this many days; 0: all."""
    cache_dir: str | None = None
    """The cache's folder; default: $MONO2MANY_CACHE, else ~/.cache/mono2many."""

    def __post_init__(self) -> None:
        if self.remove_unused is not None and not self.remove_unused >= 0:
            raise InputError(f"--remove-unused is a number of days, 0 or more, got {self.remove_unused:g}")


def run(arguments: list[str]) -> None:
    config = parse(CacheConfig, "mono2many cache", arguments)
    from mono2many.data.cache_entries import show_cache

    if not show_cache(config.cache_dir, config.check, config.remove_unused):
        sys.exit(1)
