"""A target on real tensors, ready to be asked: run again and again, alike each time, on inputs that are changed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.closed_forms.growth import parse_order
from attnprof.contracts import Target
from attnprof.counting.eagerly import quietly
from attnprof.errors import AttnprofError
from attnprof.layers.outputs import first_output
from attnprof.shapes import Shape
from attnprof.torch_private import Arguments
from attnprof.usercode import UserCode, own_mistakes
from attnprof.words import DType

LOUD = 3.0  # so that a token which is replaced is noticed by whatever selects the largest
ENTRY_BYTES = 1 << 26
ENTRIES = 32


class Skipped(AttnprofError):
    """What a check cannot look at, and why."""


@dataclass(frozen=True)
class CheckRequest:
    """What is asked beside the target: `causal` where causality is claimed, a pattern, an order of growth, seconds."""

    causal: bool = False
    against: Target | None = None
    claim: str | None = None
    budget_s: float = 10.0

    def __post_init__(self) -> None:
        """Refuse a claim that nothing here could be held against, before anything runs."""
        if self.claim is not None:
            parse_order(self.claim)


@dataclass(frozen=True, eq=False)
class Asked:
    """A module in eval with the inputs of one batch, and which of them carry the queries' tokens.

    `batched` says which inputs have an axis of the batch. Tokens lie on the last axis but one of floating-point
    inputs and of the output, on the last of ids.
    """

    module: nn.Module
    inputs: Arguments
    other: Arguments
    streams: tuple[bool, ...]
    batched: tuple[bool, ...]
    n: int
    seed: int = 0

    def run(self, inputs: Sequence[object] | None = None, seed: int | None = None) -> Tensor:
        """The output for some inputs, with the same random numbers each time."""
        with torch.no_grad():
            return self.differentiable(self.inputs if inputs is None else inputs, seed).detach()

    def differentiable(self, inputs: Sequence[object], seed: int | None = None) -> Tensor:
        """The same with a graph."""
        torch.manual_seed(self.seed if seed is None else seed)
        with quietly():
            return first_output(self.module(*inputs))

    @property
    def module_dtype(self) -> torch.dtype:
        """The precision that it is in."""
        given = (x.dtype for x in (*self.inputs, *self.module.parameters()) if isinstance(x, Tensor))
        return next((dtype for dtype in given if dtype.is_floating_point), torch.float64)

    @property
    def rounding(self) -> float:
        """What rounding may move of the largest value."""
        return 1e-10 if self.module_dtype is torch.float64 else 1e-5

    @property
    def gives_tokens(self) -> bool:
        """Whether it gives one output a token."""
        out = self.run()
        return out.dim() > 1 and out.shape[-2] == self.n

    def replaced(self, *tokens: slice) -> Arguments:
        """The inputs as a batch of copies, one for each of these tokens of the streams that are other ones in it."""
        found = []
        for x, other, stream, batched in zip(self.inputs, self.other, self.streams, self.batched, strict=True):
            if not isinstance(x, Tensor) or not batched:
                found.append(x)
                continue
            many = x.repeat(len(tokens), *[1] * (x.dim() - 1))
            for k, at in enumerate(tokens if stream else ()):
                if x.is_floating_point():
                    many[k][..., at, :] = other[0][..., at, :]
                else:
                    many[k][..., at] = other[0][..., at]
            found.append(many)
        return tuple(found)

    def beside(self) -> Arguments:
        """A batch of two: the inputs, and other ones beside them."""
        pairs = zip(self.inputs, self.other, self.batched, strict=True)
        return tuple(torch.cat((x, y)) if batched else x for x, y, batched in pairs)

    def to(self, dtype: torch.dtype) -> Asked:
        """A copy in another precision."""
        turned = [
            tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in given)
            for given in (self.inputs, self.other)
        ]
        module = copy.deepcopy(self.module).to(dtype)
        return Asked(module, turned[0], turned[1], self.streams, self.batched, self.n, self.seed)


@dataclass(eq=False)
class Examined:
    """One target at one shape, with what is asked; what is made of it is remembered."""

    target: Target
    shape: Shape
    ask: CheckRequest = field(default_factory=CheckRequest)
    known: dict[object, object] = field(default_factory=dict)

    @property
    def claims_causal(self) -> bool:
        """Whether causality is asked for, or the scheme's own form has it, and its card names no leak."""
        return self.ask.causal and not self.target.card.leaks

    @property
    def of_user(self) -> bool:
        """Whether the code is not ours."""
        return isinstance(self.target, UserCode)

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """Something that several checks ask for."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    def asked(self, n: int | None = None, dtype: torch.dtype | None = None) -> Asked:
        """The target at a length, in the widest precision that it takes or another; one set of parameters for all."""
        length, dtype = n or self.shape.n, dtype or self.widest
        made = self.once(("asked", length), lambda: self._asked(length))
        found: Asked = self.once(("asked", length, dtype), lambda: made if dtype is torch.float32 else made.to(dtype))
        return found

    @property
    def widest(self) -> torch.dtype:
        """float64, or float32 where an operator of it takes no float64."""
        found: torch.dtype = self.once("widest", self._widest)
        return found

    def _widest(self) -> torch.dtype:
        try:
            self.asked(dtype=torch.float64).run()
        except (RuntimeError, TypeError, ValueError) as error:
            if any(word in str(error) for word in ("Double", "float64", "double")):
                return torch.float32
        return torch.float64

    def _asked(self, n: int) -> Asked:
        shape = self.shape.replace(n=n, batch=1, dtype=DType.FLOAT32)
        with torch.random.fork_rng(devices=[]), quietly():
            torch.manual_seed(shape.seed)
            module = self.target.build(shape).eval()
            inputs, two = self.target.inputs(shape), self.target.inputs(shape.replace(batch=2))
            torch.manual_seed(shape.seed + 1)
            other = tuple(map(_another, inputs, self.target.inputs(shape)))
        if n != self.shape.n:
            _same_parameters(module, self.asked(dtype=torch.float32).module)
        return Asked(module, inputs, other, self._streams(shape, inputs), _batched(inputs, two), n, shape.seed)

    def _streams(self, shape: Shape, inputs: Sequence[object]) -> tuple[bool, ...]:
        if isinstance(self.target, UserCode):
            return self.target.streams(shape)
        context = shape.m is not None
        return tuple(not (context and at > 0) for at in range(len(inputs)))

    def longer(self, n: int) -> Asked:
        """The target at another length. Raises what it raises where it cannot be made for it."""
        with own_mistakes(self.target, self.shape.replace(n=n)):
            return self.asked(n)

    def entries(self) -> int:
        """Sequences in a batch at a time: as many as fit into a cache's worth of scores, one where they mix."""
        if not self.apart:
            return 1
        return max(1, min(ENTRIES, ENTRY_BYTES // (8 * self.shape.heads * self.shape.n**2)))

    @property
    def apart(self) -> bool:
        """Whether the entries of a batch are treated alike and each by itself: many may be asked at a time."""
        found: bool = self.once("apart", self._apart)
        return found

    def _apart(self) -> bool:
        asked = self.asked()
        if not any(asked.batched):
            return False
        alone = [asked.run(), asked.run(asked.other)]
        both = asked.run(asked.beside())
        return len(both) == 2 and all(same(got[None], own) for got, own in zip(both, alone, strict=True))


def same(got: Tensor, wanted: Tensor) -> bool:
    """Whether two outputs are equal but for rounding."""
    least = 1e-9 if wanted.dtype is torch.float64 else 1e-4
    return got.shape == wanted.shape and off(got, wanted) <= least


def off(got: Tensor, wanted: Tensor) -> float:
    """The largest difference, as a share of the largest value wanted; infinite where either is not finite."""
    if not wanted.numel():
        return 0.0
    most = float((got.double() - wanted.double()).abs().max())
    return most / max(float(wanted.double().abs().max()), 1e-30) if most == most else float("inf")


def _another(x: object, drawn: object) -> object:
    """Tokens to replace those of x with: louder ones; of ids, other ones."""
    if not isinstance(x, Tensor) or not isinstance(drawn, Tensor):
        return drawn
    if x.is_floating_point():
        return LOUD * drawn
    return (x + 1) % (max(int(x.max()), int(drawn.max()), 1) + 1)


def _batched(one: Arguments, two: Arguments) -> tuple[bool, ...]:
    """Which inputs grow with the batch."""
    return tuple(isinstance(x, Tensor) and x.dim() > 0 and len(y) == 2 * len(x) for x, y in zip(one, two, strict=True))


def _same_parameters(module: nn.Module, given: nn.Module) -> None:
    """Give a module the parameters of one that was made for another length, where the two have the same."""
    held = {name: p.shape for name, p in given.named_parameters()}
    if held == {name: p.shape for name, p in module.named_parameters()}:
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(given.get_parameter(name))
