"""Which image sizes the fixed networks can make, and how they are reached."""

from __future__ import annotations

from nasgan.errors import ConfigError

__all__ = ["bottom_and_doublings"]

_LEAST_BOTTOM = 4


def bottom_and_doublings(image_size: int) -> tuple[int, int]:
    """Split ``image_size = bottom * 2**doublings`` with a bottom width of 4 to 7 pixels.

    These are the sizes 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, ...: the
    papers' 32 and 64 (bottom 4) and 48 (bottom 6) among them.

    Raises:
        ConfigError: no such split; names the nearest sizes.
    """
    bottom, doublings = image_size, 0
    while bottom >= 2 * _LEAST_BOTTOM and bottom % 2 == 0:
        bottom //= 2
        doublings += 1
    if doublings == 0 or not _LEAST_BOTTOM <= bottom < 2 * _LEAST_BOTTOM:
        raise ConfigError(
            f"image_size {image_size} is not a bottom width of 4 to 7 pixels doubled once or more; "
            f"the nearest sizes are {' and '.join(map(str, _nearest(image_size)))}"
        )
    return bottom, doublings


def _nearest(image_size: int) -> list[int]:
    sizes = sorted(bottom << k for bottom in range(4, 8) for k in range(1, 12))
    below = [size for size in sizes if size < image_size][-1:]
    return below + [size for size in sizes if size > image_size][:1]
