"""A pattern as a small picture in text: each character is shaded by the share of its pairs that are edges."""

from __future__ import annotations

import numpy as np

from attnprof.graph.pixels import Grid, pooled
from attnprof.pattern import Slices

SHADES = " .░▒▓█"
SIDE = 32


def text_picture(slices: Slices, side: int = SIDE) -> list[str]:
    """Lines of at most `side` characters, queries downwards, keys to the right; a character is twice as high as wide.

    A blank is a pair of spans without any edge, a full block one with all; the shades between grow with the share's
    square root, so that thin bands and lone columns stay visible.
    """
    grid = Grid.of(slices.n, side)
    counts = pooled(slices, grid)
    areas = np.outer(grid.widths, grid.widths)
    if grid.side % 2:
        counts, areas = (np.vstack([image, np.zeros_like(image[:1])]) for image in (counts, areas))
    edges, pairs = (image[0::2] + image[1::2] for image in (counts, areas))
    share = np.sqrt(edges / pairs)
    inner = len(SHADES) - 2
    shade = np.where(edges == 0, 0, np.where(edges == pairs, inner + 1, np.ceil(share * inner)))
    return ["".join(SHADES[int(at)] for at in row) for row in shade]
