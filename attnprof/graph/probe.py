"""The true dependencies of a module, found from outside: which outputs change when a token does.

Two paths are told apart. A value path shows in the gradient. A selection path (top-k, sorting, hashing: which keys are
read at all) has no gradient; it shows when a token is replaced by another and an output changes all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from attnprof.errors import AttnprofError
from attnprof.graph.findings import Recovered
from attnprof.pattern.slices import Bools, Ints
from attnprof.torch_private import (
    Arguments,
    DispatchMode,
    Keywords,
    Operator,
    Overload,
    eager_flex,
    is_overload,
    leaves,
    schema,
)

SCORES = 1 << 20
GRADIENT = 1e-12
CHANGE = 1e-10
ROUNDING, CLEAR = 1e-14, 1e-9  # of the largest output: a change between them may be one, or not
ALONE = 8

ProbedCall = Callable[..., Tensor]


KINKED = frozenset(
    f"aten::{name}"
    for name in (
        *("relu", "relu_", "threshold", "leaky_relu", "prelu", "elu", "hardtanh", "hardswish", "hardsigmoid", "abs"),
        *("clamp", "clamp_min", "clamp_max", "max", "min", "maximum", "minimum", "amax", "amin", "max_pool2d"),
        *("sign", "round", "floor", "ceil", "trunc", "frac", "remainder", "fmod", "median", "where"),
        *("_local_scalar_dense", "is_nonzero"),
    )
)


class Choices(DispatchMode):
    """Whether an operator chose by floating-point values: gave something that is none, has a kink, or drew a number.

    `picked`: the first of these alone, as by sorting, comparing or hashing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made = self.picked = False

    def __torch_dispatch__(
        self, func: Operator, types: Sequence[type], args: Arguments = (), kwargs: Keywords | None = None
    ) -> object:
        out = func(*args, **(kwargs or {}))
        read = any(_is_real(value) for value in leaves((args, kwargs)))
        gave = [value for value in leaves(out) if isinstance(value, Tensor) and not _is_real(value)]
        name, random = "", False
        if is_overload(func):
            name = func.name().partition(".")[0]
            random = torch.Tag.nondeterministic_seeded in func.tags and not _drops_nothing(func, args, kwargs or {})
        self.picked |= read and bool(gave)
        self.made |= not name or random or (read and (bool(gave) or name in KINKED))
        return out


def _drops_nothing(func: Overload, args: Arguments, kwargs: Keywords) -> bool:
    """Whether an operator could drop numbers at random and is told to drop none, as fused attention is."""
    names = [argument.name for argument in schema(func).arguments]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return "dropout_p" in names and not given.get("dropout_p", 0.0)


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


@dataclass(frozen=True, eq=False)
class Probe:
    """A module ready to be asked: `run` maps its streams to an output; tokens lie on `axis` of each."""

    run: ProbedCall
    axis: int
    n: int
    heads: int
    chooses: bool = True
    unclear: list[bool] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether further inputs can show nothing more: nothing is chosen, and no change was near the threshold."""
        return not self.chooses and not any(self.unclear)

    @property
    def batch(self) -> int:
        """Copies of the input at a time, so that their scores stay in cache."""
        return max(1, min(64, SCORES // (self.heads * self.n**2)))


def recover(
    module: nn.Module, draw: Callable[[], Sequence[Tensor]], heads: int, trials: int, rows: Ints | None = None
) -> Recovered:
    """The dependencies of a module on its tokens over some random inputs, `[rows, n]`, in float64.

    One input is enough where no operator chooses by what it is given: what depends on a token in such a function does
    so at almost every input. `draw()` gives the streams of one input: `[1, n, D]` each, or `[1, h, n, d]`. `rows` are
    the outputs looked at (default: all). Raises `AttnprofError` where the module does not give one output a token.
    """
    module = module.double().eval()
    found: Recovered | None = None
    for trial in range(trials):
        torch.manual_seed(trial)
        streams = [stream.double() for stream in draw()]
        probe = _ready(module, streams, heads)
        wanted = np.arange(probe.n) if rows is None else rows
        found = _trial(probe, streams, trial, found or Recovered.nothing(wanted, probe.n))
        if probe.settled:
            break
    assert found is not None, "at least one trial"
    return found


def _trial(probe: Probe, streams: list[Tensor], trial: int, known: Recovered) -> Recovered:
    """What one more random input shows; gradients are taken for the first, then where something new has changed."""
    every = _changes(probe, streams, trial)
    changed = every[known.rows]
    new = (changed & ~known.value & ~known.selection).any(axis=1) | (trial == 0)
    value, selection, silent = known.value.copy(), known.selection.copy(), known.silent
    try:
        if _is_value_alone(probe, streams, known.rows, changed):
            return Recovered(known.rows, changed, selection, every, trial + 1, analytic=True)
        value[new] |= _gradients(probe, streams, known.rows[new], changed[new])
    except NotImplementedError as error:  # a kernel without a backward here: what changes is all that can be known
        value[new] |= changed[new]
        silent = str(error).partition(". ")[0].strip()
    selection[new] |= changed[new]
    return Recovered(known.rows, value, selection & ~value, known.changed | every, trial + 1, silent)


def _ready(module: nn.Module, streams: list[Tensor], heads: int) -> Probe:
    axis = streams[0].dim() - 2
    n = streams[0].shape[axis]

    def run(*given: Tensor) -> Tensor:
        torch.manual_seed(0)
        found = module(*given)
        return found[0] if isinstance(found, tuple) else found

    out, chooses = _looked_on(run, streams)
    if not isinstance(out, Tensor) or out.dim() < 2 or out.shape[-2] != n:
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise AttnprofError(
            f"the module gives {shape} for {n} tokens, but a probe needs one output a token",
            hint="wrap it in a module whose forward returns [b, n, D]",
        )
    if not torch.isfinite(out).all():
        raise AttnprofError("the module's output is not finite for a random input", hint="check masks of empty rows")
    return Probe(run, axis, n, heads, chooses)


def _looked_on(run: ProbedCall, streams: list[Tensor]) -> tuple[Tensor, bool]:
    """The output, and whether anything was chosen on the way; nothing is compiled, which a mode could not look into."""
    choices = Choices()
    with torch.no_grad(), eager_flex(lambda *_: None), choices:
        return run(*streams), choices.made


def _gradients(probe: Probe, streams: list[Tensor], rows: Ints, changed: Bools) -> Bools:
    """Whether output i has a gradient in token j, `[rows, n]`.

    Rows that no token changes together share a backward, as columns do in a compressed Jacobian (Curtis, Powell and
    Reid 1974). A few rows are asked alone first: where one has a gradient without a change (a straight-through
    estimator), every row is.
    """
    few, alone = _alone(probe, streams, rows)
    silent = bool((alone & ~changed[few]).any())
    return _attributed(probe, streams, rows, np.ones_like(changed) if silent else changed)


def _alone(probe: Probe, streams: list[Tensor], rows: Ints) -> tuple[Ints, Bools]:
    """A few rows, spread over all, and the tokens that each has a gradient in."""
    few = np.unique(np.linspace(0, len(rows) - 1, min(ALONE, len(rows))).astype(np.int64))
    return few, _attributed(probe, streams, rows[few], np.ones((len(few), probe.n), dtype=np.bool_))


def _is_value_alone(probe: Probe, streams: list[Tensor], rows: Ints, changed: Bools) -> bool:
    """Whether every change is one by value: nothing chooses, and in a few rows gradients say the same as changes."""
    if not probe.settled:
        return False
    few, alone = _alone(probe, streams, rows)
    return bool((alone == changed[few]).all())


def _attributed(probe: Probe, streams: list[Tensor], rows: Ints, changed: Bools) -> Bools:
    """The gradients of groups of rows, each given to the row that its token changes; strays are asked one by one."""
    value = np.zeros((len(rows), probe.n), dtype=np.bool_)
    groups = _strangers(changed)
    sizes = _group_gradients(probe, streams, rows, groups)
    strange: list[Ints] = []
    for group, size in zip(groups, sizes, strict=True):
        reads = changed[group] if len(group) > 1 else np.ones((1, probe.n), dtype=np.bool_)
        most = (size * reads).max(axis=1, keepdims=True)
        value[group] = (size > GRADIENT * most) & reads
        if (size > GRADIENT * size.max())[~reads.any(axis=0)].any():
            strange.extend(group[:, None])
    for row, size in zip(strange, _group_gradients(probe, streams, rows, strange), strict=True):
        value[row] = size > GRADIENT * size.max()
    return value


def _strangers(changed: Bools) -> list[Ints]:
    """Groups of rows that have no token in common, each row in the first group that it fits."""
    groups: list[list[int]] = []
    taken = np.zeros(changed.shape, dtype=np.bool_)
    for row, reads in enumerate(changed):
        free = np.flatnonzero(~taken[: len(groups), reads].any(axis=1))
        at = int(free[0]) if len(free) else len(groups)
        if at == len(groups):
            groups.append([])
        groups[at].append(row)
        taken[at] |= reads
    return [np.asarray(group) for group in groups]


def _group_gradients(probe: Probe, streams: list[Tensor], rows: Ints, groups: list[Ints]) -> np.ndarray:
    """The largest gradient in each token of the sum of each group's outputs, `[groups, n]`."""
    if not groups:
        return np.zeros((0, probe.n))
    given = [stream.detach().requires_grad_() for stream in streams]
    out = probe.run(*given)
    weights = torch.randn(out.shape[1:], dtype=out.dtype, generator=torch.Generator().manual_seed(1))
    found = []
    for at in range(0, len(groups), probe.batch):
        some = groups[at : at + probe.batch]
        seeds = torch.zeros((len(some), *out.shape), dtype=out.dtype)
        for k, group in enumerate(some):
            mine = torch.as_tensor(rows[group])
            seeds[k][..., mine, :] = weights[..., mine, :]
        found.append(_sizes(probe, _backward(out, given, seeds)))
    return torch.cat(found).numpy()


def _backward(out: Tensor, given: list[Tensor], seeds: Tensor) -> list[Tensor]:
    """The gradients of many outputs, `[k, *stream]` each; one by one where an operator cannot be batched."""
    try:
        found = torch.autograd.grad(out, given, seeds, retain_graph=True, is_grads_batched=True, allow_unused=True)
    except RuntimeError:
        rows = [torch.autograd.grad(out, given, seed, retain_graph=True, allow_unused=True) for seed in seeds]
        found = [None if parts[0] is None else torch.stack(list(parts)) for parts in zip(*rows, strict=True)]
    return [gradient for gradient in found if gradient is not None]


def _sizes(probe: Probe, gradients: list[Tensor]) -> Tensor:
    """The largest gradient of each token, `[k, n]`."""
    return torch.stack([_over_tokens(gradient.abs(), probe.axis + 1) for gradient in gradients]).amax(dim=0)


def _over_tokens(values: Tensor, axis: int) -> Tensor:
    """The maximum over everything but the first axis and the tokens'."""
    return values.movedim(axis, 1).flatten(2).amax(dim=2)


def _changes(probe: Probe, streams: list[Tensor], trial: int) -> Bools:
    """Whether output i changes when token j is replaced by another random one, `[n, n]`."""
    draw = torch.Generator().manual_seed(1000 + trial)
    other = [torch.randn(stream.shape, dtype=stream.dtype, generator=draw) for stream in streams]
    batch = probe.batch if _apart(probe, streams, other) else 1
    changed = np.zeros((probe.n, probe.n), dtype=np.bool_)
    with torch.no_grad():
        base = probe.run(*streams)
        scale = float(base.abs().max())
        for at in range(0, probe.n, batch):
            tokens = range(at, min(at + batch, probe.n))
            out = probe.run(*(_replaced(s, o, tokens, probe.axis) for s, o in zip(streams, other, strict=True)))
            apart = _over_tokens((out - base).abs(), out.dim() - 2)
            changed[:, at : at + len(tokens)] = (apart > CHANGE * scale).numpy().T
            probe.unclear.append(bool(((apart > ROUNDING * scale) & (apart < CLEAR * scale)).any()))
    return changed


def _replaced(stream: Tensor, other: Tensor, tokens: range, axis: int) -> Tensor:
    """A copy of the stream for each token, with that token replaced."""
    copies = stream.repeat(len(tokens), *[1] * (stream.dim() - 1))
    for k, token in enumerate(tokens):
        copies[k].select(axis - 1, token).copy_(other[0].select(axis - 1, token))
    return copies


def _apart(probe: Probe, streams: list[Tensor], other: list[Tensor]) -> bool:
    """Whether the entries of a batch are treated alike, each by itself, so that many can be asked at a time.

    Beside another entry, the first is what it is alone; random draws for each entry, or entries that mix, would look
    like dependencies.
    """
    with torch.no_grad():
        alone = [probe.run(*streams), probe.run(*other)]
        both = probe.run(*(torch.cat([one, two]) for one, two in zip(streams, other, strict=True)))
    if both.shape[0] != 2:
        return False
    pairs = zip(both.split(1), alone, strict=True)
    return all(bool(((got - own).abs() <= CHANGE * float(own.abs().max())).all()) for got, own in pairs)
