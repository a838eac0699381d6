"""Texts packed for a page, and the plotly.js that the installed `plotly` package carries."""

from __future__ import annotations

import importlib.util
import zlib
from functools import cache
from pathlib import Path

import numpy as np

from attnprof.errors import AttnprofError

BUNDLE = Path("package_data") / "plotly.min.js"
LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~"
DIGITS = np.frombuffer(LETTERS, dtype=np.uint8)


def bundle() -> Path:
    """The file of the full bundle; `plotly` itself is located, not imported."""
    spec = importlib.util.find_spec("plotly")
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    for place in places:
        if (Path(place) / BUNDLE).is_file():
            return Path(place) / BUNDLE
    raise AttnprofError(
        "the installed plotly package carries no plotly.min.js", hint="pip install --force-reinstall 'plotly>=6'"
    )


def packed_text(text: bytes) -> str:
    """Base 85 of gzip, its padding counted in the first character; the same text for the same bytes.

    `,` stands in place of `<`, so that no script element can end in it. It is what `base64` gives, by whole arrays.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31, 9)
    data = packer.compress(text) + packer.flush()
    padding = -len(data) % 4
    words = np.frombuffer(data + bytes(padding), dtype=">u4").astype(np.uint32)
    digits = np.empty((len(words), 5), dtype=np.uint8)
    for place in range(4, -1, -1):
        words, digits[:, place] = np.divmod(words, 85)
    return str(padding) + DIGITS[digits].tobytes().decode("ascii")


@cache
def packed() -> str:
    """The bundle, packed: about 1.9 MB."""
    return packed_text(bundle().read_bytes())
