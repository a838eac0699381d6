"""What the page packs, unpacked again."""

from __future__ import annotations

import base64
import zlib


def unpacked_text(text: str) -> bytes:
    """What `plotly_js.packed_text` packed."""
    data = base64.b85decode(text[1:].replace(",", "<"))
    return zlib.decompress(data[: len(data) - int(text[0])], 31)
