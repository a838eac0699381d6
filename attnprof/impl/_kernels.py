"""What the adapters to other packages' kernels share: when they can run, and that nothing is imported before."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from attnprof.contracts import Implementation, SchemeFacts, Spec
from attnprof.shapes import Shape
from attnprof.words import DeviceName, DType

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.layers.outside_kernel import KernelWork
    from attnprof.pattern import Band


def installed(package: str) -> str | None:
    """None where a package can be imported, else that it is not installed; it is not imported."""
    found = package in sys.modules or _exists(package)
    return None if found else f"not installed: pip install {package.replace('_', '-')}"


@cache
def _exists(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


class OutsideKernel(Implementation):
    """A kernel of `package` that takes streams `[b, n, h, d]`, on `devices` and in `dtypes`; it has no decoding step.

    What a subclass adds: `computes`, whether it is the scheme's maths; `call`; `work`, what it executes.
    """

    package: str
    distribution: str = ""
    devices: tuple[DeviceName, ...] = DeviceName.accelerators()
    dtypes: tuple[DType, ...] = (DType.FLOAT16, DType.BFLOAT16)
    held_in = DType.BFLOAT16
    portable = False

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        return self.computes(scheme, shape) or self.available(device) or self._takes(shape.dtype)

    def available(self, device: DeviceName) -> str | None:
        """Why it does not run on this device of this machine; None where it does, or where nothing is to run."""
        if missing := installed(self.package):
            return f"not installed: pip install {self.distribution}" if self.distribution else missing
        if device in (DeviceName.NONE, DeviceName.AUTO, *self.devices):
            return None
        return f"needs {' or '.join(name.upper() for name in self.devices)}"

    def _takes(self, dtype: DType) -> str | None:
        return None if dtype in self.dtypes else f"it takes {' and '.join(self.dtypes)}, not {dtype}"

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        """Why the kernel's maths is not that of the scheme at this shape; None where it is."""
        raise NotImplementedError

    def work(self, spec: Spec) -> KernelWork:
        """What one call executes."""
        raise NotImplementedError

    def build(self, spec: Spec) -> nn.Module:
        from attnprof.layers.outside_kernel import OutsideCore

        return OutsideCore(spec, lambda q, k, v: self.call(spec, q, k, v), self.work(spec), self.name)

    def call(self, spec: Spec, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The kernel on `q [b, n, h, d]`, `k, v [b, m, g, d]`: `[b, n, h, d]`."""
        raise NotImplementedError

    def imported(self, module: str = "") -> Any:
        """The package, or a module of it."""
        return importlib.import_module(f"{self.package}.{module}" if module else self.package)

    def executed(self, spec: Spec) -> int:
        return self.work(spec).flops

    def tiles(self, spec: Spec) -> str:
        return self.work(spec).tile


class FusedSoftmax(OutsideKernel):
    """A fused softmax over all keys, all of the past, or a window; both masks are aligned at the last key."""

    def computes(self, scheme: SchemeFacts, shape: Shape) -> str | None:
        known = ("dense", "sliding_window")
        return None if scheme.maths in known else f"it computes {' and '.join(known)}"

    def work(self, spec: Spec) -> KernelWork:
        from attnprof.layers.outside_kernel import band_pairs, softmax_work

        return softmax_work(spec, band_pairs(spec)[0], "unknown: exact band, aligned bottom right")

    def band(self, spec: Spec) -> Band | None:
        """The window; None where there is none."""
        from attnprof.layers.outside_kernel import band_pairs

        return band_pairs(spec)[1]
