"""Published peaks of accelerators: the roofs of a roofline where no device is at hand to be measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnprof.errors import unknown
from attnprof.units import parse_size

T = 10**12
G = 10**9


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Peaks of one device: dense FLOPs per second by dtype, its memory in bytes per second and bytes, the source."""

    name: str
    flops_per_s: Mapping[str, float]
    bytes_per_s: float
    memory_bytes: int
    source: str

    def peak(self, dtype: str) -> float:
        """FLOPs per second for a dtype; that of float32 where the dtype has no figure of its own."""
        return self.flops_per_s.get(dtype, self.flops_per_s["float32"])


def _half(flops: float, single: float) -> dict[str, float]:
    return {"bfloat16": flops, "float16": flops, "float32": single}


TABLE: tuple[Accelerator, ...] = (
    Accelerator(
        "v100",
        {"float16": 125 * T, "float32": 15.7 * T},
        900 * G,
        32 * G,
        "NVIDIA V100 data sheet (SXM2, 32 GB)",
    ),
    Accelerator("a100", _half(312 * T, 19.5 * T), 2039 * G, 80 * G, "NVIDIA A100 data sheet (SXM, 80 GB)"),
    Accelerator("h100", _half(989.4 * T, 66.9 * T), 3350 * G, 80 * G, "NVIDIA H100 data sheet (SXM), dense"),
    Accelerator("h200", _half(989.4 * T, 66.9 * T), 4800 * G, 141 * G, "NVIDIA H200 data sheet (SXM), dense"),
    Accelerator("l40s", _half(362 * T, 91.6 * T), 864 * G, 48 * G, "NVIDIA L40S data sheet, dense"),
    Accelerator("rtx4090", _half(165.2 * T, 82.6 * T), 1008 * G, 24 * G, "NVIDIA Ada white paper, FP32 accumulation"),
    Accelerator("mi300x", _half(1307.4 * T, 163.4 * T), 5300 * G, 192 * G, "AMD Instinct MI300X data sheet"),
)


def accelerator(name: str) -> Accelerator:
    """The accelerator of this name. Raises `AttnprofError` for an unknown one."""
    for entry in TABLE:
        if entry.name == name.lower():
            return entry
    raise unknown("accelerator", name, [entry.name for entry in TABLE])


def memory_of(text: str) -> int:
    """Bytes of a size such as 80GB, or of the memory of an accelerator that is named."""
    known = {entry.name: entry.memory_bytes for entry in TABLE}
    return known[text.lower()] if text.lower() in known else parse_size(text)
