"""A dark page to lay pictures, captions and legends on; everything people look at here is drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gemini_ros.core.labels import LabelSet

Rgb = tuple[int, int, int]

BACKGROUND: Rgb = (14, 17, 22)
SURFACE: Rgb = (26, 31, 39)
TEXT: Rgb = (236, 240, 244)
MUTED: Rgb = (139, 148, 160)
GOOD: Rgb = (74, 197, 134)
WARNING: Rgb = (240, 180, 60)
BAD: Rgb = (238, 84, 84)


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def fit(image: npt.NDArray[np.uint8], size: tuple[int, int], *, sharp: bool = False) -> npt.NDArray[np.uint8]:
    """``image`` uint8 (H, W, 3) as large as it fits into ``size`` (width, height), aspect kept.

    ``sharp`` keeps pixels as blocks: label images and grids have no values in between.
    """
    height, width = image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, target, interpolation=cv2.INTER_NEAREST if sharp else smooth), np.uint8)


class Canvas:
    """An RGB page of fixed size; coordinates are pixels (x, y) from the upper left corner."""

    def __init__(self, size: tuple[int, int], background: Rgb = BACKGROUND) -> None:
        self._image = Image.new("RGB", size, background)
        self._draw = ImageDraw.Draw(self._image)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._image.size

    def copy(self) -> Canvas:
        """An independent page with the same drawing on it."""
        duplicate = Canvas(self.size)
        duplicate._image.paste(self._image)
        return duplicate

    def array(self) -> npt.NDArray[np.uint8]:
        """The page as uint8 (H, W, 3) RGB, a copy."""
        return np.array(self._image, np.uint8)

    def picture(
        self, image: npt.NDArray[np.uint8], xy: tuple[int, int], size: tuple[int, int], *, sharp: bool = False
    ) -> None:
        """Lay ``image`` uint8 (H, W, 3) into the middle of the cell ``size`` at ``xy``."""
        fitted = fit(image, size, sharp=sharp)
        height, width = fitted.shape[:2]
        corner = (xy[0] + (size[0] - width) // 2, xy[1] + (size[1] - height) // 2)
        self._image.paste(Image.fromarray(fitted), corner)

    def box(self, xy: tuple[int, int], size: tuple[int, int], fill: Rgb, *, radius: int = 0) -> None:
        """A filled rectangle, its corners rounded by ``radius``."""
        far = (xy[0] + max(size[0], 1) - 1, xy[1] + max(size[1], 1) - 1)
        self._draw.rounded_rectangle((*xy, *far), radius, fill=fill)

    def text(
        self,
        xy: tuple[int, int],
        text: str,
        size: int,
        *,
        fill: Rgb = TEXT,
        bold: bool = False,
        anchor: str = "la",
        max_width: int | None = None,
    ) -> int:
        """Write one line and return its width; ``anchor`` as Pillow's.

        What exceeds ``max_width`` ends in an ellipsis.
        """
        font = _font(size, bold)
        if max_width is not None and font.getlength(text) > max_width:
            while text and font.getlength(text + "…") > max_width:
                text = text[:-1]
            text += "…"
        self._draw.text(xy, text, font=font, fill=fill, anchor=anchor)
        return round(font.getlength(text))

    def chip(self, xy: tuple[int, int], text: str, size: int, *, fill: Rgb, max_width: int) -> None:
        """A short word on a coloured, rounded ground; ``xy`` is its upper left corner."""
        pad = size // 2
        width = min(round(_font(size, True).getlength(text)) + 2 * pad, max_width)
        self.box(xy, (width, size + pad + 2), fill, radius=(size + pad) // 2)
        self.text(
            (xy[0] + width // 2, xy[1] + (size + pad + 2) // 2),
            text,
            size,
            fill=BACKGROUND,
            bold=True,
            anchor="mm",
            max_width=width - pad,
        )

    def legend(self, xy: tuple[int, int], entries: Sequence[tuple[str, Rgb]], size: int, max_width: int) -> int:
        """Colour squares with names from ``xy`` on, in lines of ``max_width``; returns the height."""
        line = round(size * 1.9)
        x, y = xy
        for name, color in entries:
            width = size + size // 2 + round(_font(size, False).getlength(name)) + size * 3 // 2
            if x > xy[0] and x + width > xy[0] + max_width:
                x, y = xy[0], y + line
            self.box((x, y), (size, size), color, radius=size // 4)
            self.text((x + size + size // 2, y + size // 2), name, size, fill=MUTED, anchor="lm")
            x += width
        return y + line - xy[1]


def legend_entries(label_set: LabelSet) -> list[tuple[str, Rgb]]:
    """Name and colour of every class, in order."""
    return [(c.name, c.color) for c in label_set.classes]
