"""What practitioners set by length: opt-in parameters that grow with n. No exponent is fitted to a run with them.

A value holds from its length up to the next one that is named; `None` leaves the paper's own function of n.
"""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.records import Value

STEPS = (1024, 4096, 16384, 65536)
Column = tuple[Value, Value, Value, Value]

BY_LENGTH: Mapping[str, Mapping[str, Column]] = {
    "block_local": {"block": (128, 256, 256, 512), "look_back": (1, 1, 1, 1)},
    "sliding_window": {"window": (128, 512, 512, 512)},
    "dilated_window": {"window": (128, 512, 512, 512)},
    "pooled": {"factor": (3, 4, 8, 16)},
    "memory_compressed": {"factor": (3, 4, 8, 16)},
    "set_transformer": {"points": (32, 64, 128, 128)},
    "sparse_strided": {"stride": (32, 64, 128, 256)},
    "sparse_fixed": {"stride": (32, 64, 128, 256), "summary": (4, 8, 16, 32)},
    "longformer": {"window": (128, 512, 512, 512), "global_tokens": (1, 1, 64, 64)},
    "etc": {"window": (84, 168, 168, 338), "global_tokens": (64, 256, 256, 512)},
    "bigbird": {"block": (32, 64, 64, 64)},
    "routing": {"clusters": (8, 32, 64, 128)},
    "reformer": {"chunk": (64, 64, 64, 64), "hashes": (4, 4, 4, 8)},
    "sinkhorn": {"block": (64, 64, 128, 256)},
    "sortcut": {"block": (64, 64, 128, 256)},
    "linformer": {"rank": (128, 256, 256, 256)},
    "performer": {"features": (256, 256, 256, 256)},
    "linear": {"chunk": (64, 64, 128, 128)},
    "transformer_xl": {"segment": (128, 512, 512, 512), "memory": (128, 512, 512, 1600)},
    "compressive": {
        "segment": (128, 512, 512, 768),
        "memory": (128, 512, 512, 768),
        "compressed": (128, 512, 1024, 3072),
        "rate": (2, 2, 3, 3),
    },
    "switch": {"experts": (8, 8, 64, 64)},
    "sinks": {"window": (252, 1020, 2044, 4092)},
}


def by_length(target: str, n: int) -> dict[str, Value]:
    """The parameters that the preset gives a target at length n; empty where it names none."""
    step = max(0, sum(n >= start for start in STEPS) - 1)
    return {name: values[step] for name, values in BY_LENGTH.get(target, {}).items()}
