"""What `eager` or `gather` computes, compiled by inductor as one graph."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from attnprof.contracts import Implementation, SchemeFacts, Spec
from attnprof.impl import implementation
from attnprof.impl._kernels import installed
from attnprof.shapes import Shape
from attnprof.words import DeviceName, DType

if TYPE_CHECKING:
    from torch import nn

COMPILERS = ("c++", "g++", "clang++", "cl")


class Compile(Implementation):
    """It never falls back: a graph that breaks is refused. It is counted as what it compiles, before any fusion."""

    name = "compile"
    held_in = DType.FLOAT32
    portable = False

    def can(self, scheme: SchemeFacts, shape: Shape, device: DeviceName) -> str | None:
        if not (scheme.of_edges or scheme.written):
            return "there is nothing of ours to compile"
        if device in (DeviceName.CPU, DeviceName.NONE):
            found = os.environ.get("CXX") or next(filter(shutil.which, COMPILERS), None)
            return None if found else f"no C++ compiler: inductor needs one of {', '.join(COMPILERS)}"
        return installed("triton")

    def build(self, spec: Spec) -> nn.Module:
        from attnprof.layers.compiled_core import CompiledCore

        return CompiledCore(self._plain(spec).build(replace(spec, impl=self._plain(spec).name)))

    def executed(self, spec: Spec) -> int | None:
        return self._plain(spec).executed(replace(spec, impl=self._plain(spec).name))

    def _plain(self, spec: Spec) -> Implementation:
        """What is compiled: the scheme's own maths in its first form, or the pattern by `gather`."""
        return implementation(next(iter(spec.scheme.written), "gather") if spec.scheme else "gather")


IMPLEMENTATION = Compile()
