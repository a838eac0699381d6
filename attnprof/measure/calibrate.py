"""Short measured peaks of a device: what times are predicted from, and the roof of a roofline."""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.device import Device
from attnprof.measure.sampling import sample

SLICE_S = 0.15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Peaks measured with a square matrix product and a copy (bytes read plus bytes written), and the conditions."""

    device: str
    dtype: str
    matmul_flops_per_s: float
    copy_bytes_per_s: float
    threads: int
    method: str


def calibrate(device: Device, dtype: str = "") -> Calibration:
    """Measure the peaks of a device, in about a third of a second.

    `dtype` defaults to the device's own. The fastest sample counts: a peak is a roof.
    """
    import torch

    dtype = dtype or device.dtype
    clock, where, side, size = device.clock(), device.where, device.matmul_side, device.copy_bytes
    # random, since a device draws less power, and so clocks higher, on constant operands
    a, b, out = (torch.randn(side, side, dtype=getattr(torch, dtype), device=where) for _ in range(3))
    source, sink = (torch.randint(256, (size,), dtype=torch.uint8, device=where) for _ in range(2))
    with torch.no_grad():
        product = sample([lambda: torch.mm(a, b, out=out)], clock, budget_s=SLICE_S).total()
        copied = sample([lambda: sink.copy_(source)], clock, budget_s=SLICE_S).total()
    return Calibration(
        device=device.name,
        dtype=dtype,
        matmul_flops_per_s=2 * side**3 / min(product.samples),
        copy_bytes_per_s=2 * size / min(copied.samples),
        threads=torch.get_num_threads(),
        method=f"{side}x{side} matrix product; copy of {size} bytes, read and write; fastest of a few",
    )
