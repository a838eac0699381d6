"""Correctness before timing: a scheme that does not compute what it says is not worth a number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnprof.contracts import Prefills, SchemeTarget, Target
from attnprof.errors import Unsupported
from attnprof.impl import implementation
from attnprof.layers.outputs import first_output
from attnprof.layers.tokens import tokens_of
from attnprof.measure.sampled_rows import rows_off
from attnprof.shapes import Shape
from attnprof.usercode import own_mistakes
from attnprof.words import DeviceName, DType, Pass

SMALL = (64, 77)
WHOLE = 1024
ROUNDINGS = 64  # of the largest value of a pass: where the truth is 0, a sum of some of them is left over
TOLERANCE = {"float64": 1e-8, "float32": 1e-3, "bfloat16": 4e-2, "float16": 1e-2}

Reasons = dict[str, str]


def check(target: Target, shape: Shape, pass_: Pass = Pass.TRAIN, device: str = DeviceName.CPU) -> Reasons:
    """Why a target must not be timed, by the name of the check that it fails; empty when it passes.

    With a reference: at two small lengths, `precisely`, outputs and (pass `train`) gradients agree; in the timed dtype
    at the timed length the whole output where it is short, else sampled rows. Without: all that is computed is finite.
    A causal target is perturbed after a position, before which nothing may change, unless its card names a leak. For
    pass `decode` one step is compared with the whole forward.
    """
    pass_ = Pass(pass_)
    refuse(target, shape, device)
    with own_mistakes(target, shape):
        if not _has_reference(target, shape):
            return _unaided(target, _shortened(shape, SMALL[0]), pass_, device) or at_length(target, shape, device)
        return _aided(target, shape, pass_, device)


def refuse(target: Target, shape: Shape, device: str) -> None:
    """Raise `Unsupported` where the target's implementation cannot compute this shape on this device."""
    why = target.cannot(shape, DeviceName(device)) if isinstance(target, SchemeTarget) else None
    if why:
        raise Unsupported(f"{target.impl} cannot compute {target.name} on {device}: {why}", hint="another --impl")


def _aided(target: Target, shape: Shape, pass_: Pass, device: str) -> Reasons:
    found: Reasons = {}
    dtype, where, compared = precisely(target, pass_, device)
    for n in sorted({min(shape.n, n) for n in SMALL}):
        small = _shortened(shape, n).replace(dtype=dtype, batch=min(shape.batch, 2))
        found |= _against_reference(target, small, compared, where)
        if _is_causal(target, shape):
            found |= _future(target, small, where)
        if pass_ == Pass.DECODE and small.n > 1:
            found |= _decoding(target, small, where)
    return found or at_length(target, shape, device)


def precisely(target: Target, pass_: Pass, device: str) -> tuple[DType, str, Pass]:
    """The dtype, device and pass in which a target is compared at small lengths: float64 on the CPU, where it can.

    An implementation may take no float64, compute something else on another device, or have no backward on this one.
    """
    if target.impl is None:
        return DType.FLOAT64, DeviceName.CPU, pass_
    how = implementation(target.impl)
    where = DeviceName.CPU if how.portable else device
    return how.held_in, where, pass_ if how.trains(DeviceName(where)) else Pass.FORWARD


def _has_reference(target: Target, shape: Shape) -> bool:
    try:
        target.reference(_shortened(shape, SMALL[0]))
    except Unsupported:
        return False
    return True


def _shortened(shape: Shape, n: int) -> Shape:
    return shape.replace(n=min(shape.n, n), m=shape.m and min(shape.m, n))


def _is_causal(target: Target, shape: Shape) -> bool:
    return shape.causal and not target.card.leaks


def _unaided(target: Target, shape: Shape, pass_: Pass, device: str) -> Reasons:
    """All that can be asked without a reference, at this length: what comes out is finite, and causal if it says so."""
    run = _Run.of(target, shape, device)
    bad = [name for name, tensor in run.everything(pass_).items() if not tensor.isfinite().all()]
    if bad:
        return {"gate_finite": f"not finite at n = {shape.n}: {', '.join(bad)}"}
    return _future(target, shape, device) if _is_causal(target, shape) else {}


def _against_reference(target: Target, shape: Shape, pass_: Pass, device: str) -> Reasons:
    run = _Run.of(target, shape, device)
    oracle = run.with_module(target.reference(shape)).widened()
    got, wanted = run.everything(pass_), oracle.everything(pass_)
    tolerance = TOLERANCE[shape.dtype]
    rounding = ROUNDINGS * torch.finfo(got["output"].dtype).eps * max(map(largest, wanted.values()))
    for name, expected in wanted.items():
        off = distance(got[name], expected, least=rounding / tolerance)
        if not off <= tolerance:
            check_name = "gate_forward" if name == "output" else "gate_gradient"
            return {check_name: f"{name} differs from the reference by {off:.1e} of its largest value at n = {shape.n}"}
    return {}


def _future(target: Target, shape: Shape, device: str) -> Reasons:
    """Perturb everything from a position on: an output before it that changes has read the future."""
    run = _Run.of(target, shape, device)
    n, before = shape.n, run.output()
    for start in sorted({1, n // 2, n - 1} - {0, n}):
        after = run.with_inputs([_perturbed(x, start, n) for x in run.inputs]).output()
        off = distance(after[..., :start, :], before[..., :start, :])
        if not off <= TOLERANCE[shape.dtype]:
            return {"gate_causal": f"a change from position {start} on alters earlier outputs by {off:.1e} at n = {n}"}
    return {}


def _decoding(target: Target, shape: Shape, device: str) -> Reasons:
    """One step after all tokens but the last must give what the whole forward gives for the last."""
    run = _Run.of(target, shape, device)
    module = run.module
    if not isinstance(module, Prefills):
        return {}
    with torch.no_grad():
        state = module.prefill(*tokens_of(run.inputs, shape.n, slice(0, -1)))
        stepped = first_output(module.step(*tokens_of(run.inputs, shape.n), state))
    off = distance(stepped, run.output()[..., -1:, :])
    if not off <= TOLERANCE[shape.dtype]:
        return {"gate_decode": f"a decoding step differs from the whole forward by {off:.1e} at n = {shape.n}"}
    return {}


def _perturbed(x: Tensor, start: int, n: int) -> Tensor:
    if x.ndim < 3 or x.shape[-2] != n:
        return x
    changed = x.clone()
    changed[..., start:, :] = torch.randn_like(changed[..., start:, :])
    return changed


def at_length(target: Target, shape: Shape, device: str = DeviceName.CPU) -> Reasons:
    """Why the output is wrong in the dtype, on the backend and at the length to be timed; empty when it is not.

    Without a reference: whether it is finite there, and causal where that is claimed.
    """
    if not _has_reference(target, shape):
        with own_mistakes(target, shape):
            return _unaided(target, shape, Pass.FORWARD, device)
    if shape.n > WHOLE or shape.dtype is DType.FLOAT64:
        off = rows_off(target, shape, device)
    else:
        run = _Run.of(target, shape, device)
        exact = run.with_module(target.reference(shape)).widened()
        off = distance(run.output(), exact.output())
    if off is None or off <= TOLERANCE[shape.dtype]:
        return {}
    return {"gate_rows": f"in {shape.dtype} at n = {shape.n} the output is off by {off:.1e} of its largest value"}


def largest(values: Tensor) -> float:
    """The largest magnitude; 0 where there are no values, or none that is finite."""
    found = float(values.abs().max()) if values.numel() else 0.0
    return found if math.isfinite(found) else 0.0


def distance(got: Tensor, wanted: Tensor, least: float = 1e-30) -> float:
    """The largest difference, relative to the largest value wanted, or to `least`; NaN where either is not finite."""
    if not wanted.numel():
        return 0.0
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    wanted, got = wanted.cpu().to(wide), got.cpu().to(wide)
    return float((got - wanted).abs().max()) / max(float(wanted.abs().max()), least, 1e-30)


@dataclass(frozen=True)
class _Run:
    """A module with inputs, run the same way each time."""

    module: nn.Module
    inputs: Sequence[Tensor]
    seed: int

    @classmethod
    def of(cls, target: Target, shape: Shape, device: str) -> _Run:
        torch.manual_seed(shape.seed)
        module = target.build(shape).to(device).eval()
        return cls(module, [x.to(device) for x in target.inputs(shape)], shape.seed)

    def with_module(self, module: nn.Module) -> _Run:
        module.load_state_dict(self.module.state_dict())
        device = self.inputs[0].device
        return _Run(module.to(device).eval(), self.inputs, self.seed)

    def with_inputs(self, inputs: Sequence[Tensor]) -> _Run:
        return _Run(self.module, inputs, self.seed)

    def widened(self) -> _Run:
        return _Run(self.module.double(), [x.double() if x.is_floating_point() else x for x in self.inputs], self.seed)

    @torch.no_grad()
    def output(self) -> Tensor:
        torch.manual_seed(self.seed)
        return first_output(self.module(*self.inputs))

    def everything(self, pass_: Pass) -> dict[str, Tensor]:
        """The output and, for `train`, the gradients of the inputs and parameters for one fixed output gradient."""
        return self._gradients() if pass_ == Pass.TRAIN else {"output": self.output()}

    def _gradients(self) -> dict[str, Tensor]:
        leaves = [x.detach().requires_grad_(x.is_floating_point()) for x in self.inputs]
        named = {f"gradient of input {i}": x for i, x in enumerate(leaves) if x.requires_grad}
        named |= {f"gradient of {name}": p for name, p in self.module.named_parameters() if p.requires_grad}
        torch.manual_seed(self.seed)
        output = first_output(self.module(*leaves))
        wave = torch.linspace(-1, 1, output.numel(), dtype=output.dtype, device=output.device).view(output.shape)
        grads = torch.autograd.grad(output, list(named.values()), wave, materialize_grads=True)
        return {"output": output.detach(), **dict(zip(named, grads, strict=True))}
