"""What memory is made of at the moment of the peak, and what lived before the pass."""

from __future__ import annotations

from dataclasses import dataclass

from attnprof.contracts import Target
from attnprof.counting.believed import observe
from attnprof.counting.built import Built
from attnprof.counting.running import CountedRun
from attnprof.counting.storages import unique_bytes
from attnprof.layers.outputs import tensors_in
from attnprof.shapes import Shape
from attnprof.words import Pass


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Bytes by part: the first four lived before the pass, the others are live at its peak and add up to it."""

    parameters: int
    buffers: int
    inputs: int
    grad_output: int
    saved: int
    param_gradients: int
    transient: int
    workspace: int

    @property
    def peak_bytes(self) -> int:
        """Live bytes at the peak beyond what lived before."""
        return self.saved + self.param_gradients + self.transient + self.workspace

    @property
    def resident_bytes(self) -> int:
        """Bytes that lived before the pass."""
        return self.parameters + self.buffers + self.inputs + self.grad_output

    @property
    def needed_bytes(self) -> int:
        """All that a device has to hold at the peak."""
        return self.resident_bytes + self.peak_bytes


def waterfall(target: Target, shape: Shape, pass_: Pass) -> Waterfall:
    """The parts of a pass's peak. `saved` waits for backward; the layer's input, kept or not, is under `inputs`."""
    seen = observe(target, shape, pass_)
    return parts(seen.built, seen.run)


def parts(built: Built, run: CountedRun) -> Waterfall:
    """The parts of a run that was counted."""
    peak = run.lives.at_peak
    gradients = sum(life.nbytes for life in peak if id(life) in run.gradients)
    saved = sum(life.nbytes for life in peak if id(life) in run.kept and id(life) not in run.gradients)
    live = sum(life.nbytes for life in peak)
    return Waterfall(
        parameters=built.param_bytes,
        buffers=built.buffer_bytes,
        inputs=unique_bytes(tensors_in(built.inputs)),
        grad_output=run.output_bytes,
        saved=saved,
        param_gradients=gradients,
        transient=live - saved - gradients,
        workspace=run.lives.peak - live,
    )


def needed_bytes(built: Built, run: CountedRun) -> int:
    """Bytes that a device has to hold: what lived before, and the peak."""
    before = built.param_bytes + built.buffer_bytes + unique_bytes(tensors_in(built.inputs)) + run.output_bytes
    return before + run.lives.peak
