"""The plotly.js that the installed `plotly` package carries, packed for the page."""

from __future__ import annotations

import base64
import importlib.util
import zlib
from functools import cache
from pathlib import Path

from attnprof.errors import AttnprofError

BUNDLE = Path("package_data") / "plotly.min.js"


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


@cache
def packed() -> str:
    """The bundle as base64 of gzip, the same text at every call: about 2 MB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = packer.compress(bundle().read_bytes()) + packer.flush()
    return base64.b64encode(data).decode("ascii")
