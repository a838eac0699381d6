"""What a module mixes, seen from outside on real tensors: one token of one sequence is replaced, and what moves?

Sequences and tokens all differ, so that nothing is averaged away; axes are told apart by what moves along them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnprof.counting.eagerly import quietly
from attnprof.errors import AttnprofError
from attnprof.shapes import Shape
from attnprof.targets.calling import Calling
from attnprof.usercode import Mixing
from attnprof.words import Layout

if TYPE_CHECKING:
    from torch import Tensor, nn

ENTRIES = 3
LENGTHS = (32, 64, 128)
LONGEST = 512
MOVED = 1e-6
LOUD = 3.0  # so that a token which is replaced is the largest of its batch, where something asks for that
MOST_PARAMETERS = 2**28
OURS = {False: Layout.BND, True: Layout.BHND}
OTHER = {False: Layout.NBD, True: Layout.BNHD}


@dataclass(frozen=True)
class MixingQuestion:
    """How to make the module for a shape and how it is called, and what is known of its layout beforehand.

    `given` was said by the user; `stated` is what the module says of itself.
    """

    make: Callable[[Shape], nn.Module]
    calling: Calling
    shape: Shape
    given: Layout | None = None
    stated: Layout | None = None

    @property
    def streams(self) -> bool:
        """Whether it takes streams of heads."""
        return self.calling.form.of_heads

    @property
    def usual(self) -> Layout:
        """The layout where a probe does not tell."""
        return self.given or self.stated or OURS[self.streams]

    def orders(self) -> tuple[Layout, ...]:
        """The orders to try the inputs in, the likelier first."""
        return (self.given,) if self.given else tuple(dict.fromkeys((OURS[self.streams], OTHER[self.streams])))


@dataclass(frozen=True)
class Moved:
    """Whether outputs moved along the axes of a batch, of heads (streams alone), of tokens, and at an earlier token."""

    batch: bool
    heads: bool
    tokens: bool
    earlier: bool


def probe(question: MixingQuestion, n: int) -> Mixing:
    """What a module mixes, at a length between 32 and 512. Raises `AttnprofError` where its layout is not known."""
    lengths = dict.fromkeys((*LENGTHS, *((n,) if n <= LONGEST else ())))
    why = ""
    from attnprof.torch_private import without_modes

    with without_modes(), _same_numbers(), quietly():
        try:
            if _parameters(question) > MOST_PARAMETERS:
                return Mixing(question.usual, why="its parameters are too large to run it here")
            for length in lengths:
                for order in question.orders():
                    try:
                        return _judged(question, length, order)
                    except (AttnprofError, MemoryError):
                        raise
                    except Exception as error:
                        why = (
                            why or f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
                        )
        except MemoryError:
            why = "memory ran out"
    return Mixing(question.usual, why=f"it does not run at n = {', '.join(map(str, lengths))}: {why}")


def _judged(question: MixingQuestion, n: int, order: Layout) -> Mixing:
    """What one length shows, with inputs in one order; where the other order turns out to be meant, with that."""
    import torch

    torch.manual_seed(0)
    shape = question.shape.replace(n=n)
    module = question.make(shape).eval()
    seen = _moved(module, question.calling, shape, order)
    if seen is None:
        return Mixing(question.usual, why="its output has no axis of tokens")
    layout = _layout(question, seen, order)
    if layout is not order:
        seen = _moved(module, question.calling, shape, layout)
        if seen is None:
            return Mixing(layout, why="its output has no axis of tokens")
    trained = _moved(module.train(), question.calling, shape, layout)
    return Mixing(
        layout,
        tokens=seen.tokens or (None if question.calling.form.reads_more else False),
        batch=seen.batch,
        batch_in_training=None if trained is None else trained.batch,
        heads=seen.heads if question.streams else None,
        causal=not seen.earlier if seen.tokens else None,
    )


def _layout(question: MixingQuestion, seen: Moved, order: Layout) -> Layout:
    """The layout that what moved speaks for, where nobody said it."""
    if question.given:
        return question.given
    other = next(each for each in (OURS, OTHER) if each[question.streams] is not order)[question.streams]
    across = seen.heads if question.streams else seen.batch
    if seen.tokens == across:
        if across and question.streams:
            raise AttnprofError(
                "tokens move outputs along both the second and the third axis: the function's layout is not known",
                hint="say it: --layout bhnd or --layout bnhd",
            )
        return question.usual
    shown = order if seen.tokens else other
    if question.stated and question.stated is not shown:
        raise AttnprofError(
            f"the module states the layout {question.stated}, but tokens move outputs as in {shown}",
            hint=f"say it: --layout {shown} or --layout {question.stated}",
        )
    return shown


def _moved(module: nn.Module, calling: Calling, shape: Shape, layout: Layout) -> Moved | None:
    """What moves with the first, the middle and the last token of one entry; None without an output a token."""
    import torch

    torch.manual_seed(0)
    given = calling.inputs(shape, layout)
    followed = [it.stream for it in calling.form.inputs]
    first = given[followed.index(True)]
    leading = first.shape[:-1] if first.is_floating_point() else first.shape
    with torch.no_grad():
        base = _output(module, calling, given, layout)
        if base.shape[: len(leading)] != leading:
            return None
        found = [
            _apart(base, _output(module, calling, changed, layout))
            for changed in _replaced(given, followed, leading[-1], calling.facts.vocabulary)
        ]
    n = leading[-1]
    entry = ENTRIES // 2
    tokens = list(_tokens(n))
    return Moved(
        batch=any(bool(_without(moved, 0, entry).any()) for moved in found),
        heads=len(leading) > 2 and any(bool(moved[entry, 1:].any()) for moved in found),
        tokens=any(bool(_without(_mine(m, entry), -1, j).any()) for m, j in zip(found, tokens, strict=True)),
        earlier=any(bool(_mine(m, entry)[..., :j].any()) for m, j in zip(found, tokens, strict=True)),
    )


def _mine(moved: Tensor, entry: int) -> Tensor:
    """What moved in the entry that was changed, and of its streams in the head that was."""
    return moved[entry, 0] if moved.dim() > 2 else moved[entry]


def _without(moved: Tensor, axis: int, index: int) -> Tensor:
    """All but one index along an axis."""
    import torch

    kept = [i for i in range(moved.shape[axis]) if i != index]
    return moved.index_select(axis, torch.tensor(kept, dtype=torch.long))


def _tokens(n: int) -> Iterator[int]:
    """The tokens that are replaced, one at a time."""
    yield from dict.fromkeys((0, n // 2, n - 1))


def _replaced(given: Sequence[Tensor], followed: Sequence[bool], n: int, vocabulary: int) -> Iterator[list[Tensor]]:
    """The inputs with one token of one entry (and of the first head) replaced in those that are followed."""
    import torch

    for token in _tokens(n):
        changed = [x.clone(memory_format=torch.preserve_format) for x in given]
        for x in (x for x, moves in zip(changed, followed, strict=True) if moves):
            place = x[ENTRIES // 2, 0] if x.dim() > 3 else x[ENTRIES // 2]
            if x.is_floating_point():
                place[..., token, :] = LOUD * torch.randn(place.shape[-1])
            else:
                place[token] = (place[token] + 1) % vocabulary
        yield changed


def _output(module: nn.Module, calling: Calling, given: Sequence[Tensor], layout: Layout) -> Tensor:
    """The output, in our order, with the same random numbers each time."""
    import torch

    torch.manual_seed(1)
    return calling.run(module, given, layout)


def _apart(base: Tensor, other: Tensor) -> Tensor:
    """Which outputs differ, the features left out; all where the sizes themselves do."""
    import torch

    if base.shape != other.shape:
        return torch.ones(base.shape[:-1], dtype=torch.bool)
    scale = float(base.abs().max())
    return ((base - other).abs() > MOVED * scale).any(dim=-1)


def _parameters(question: MixingQuestion) -> int:
    """Parameters of the module, made without memory; 0 where that cannot be done."""
    import torch

    try:
        with warnings.catch_warnings(), torch.device("meta"):  # fake tensors would load a compiler, for seconds
            warnings.simplefilter("ignore")
            return sum(p.numel() for p in question.make(question.shape.replace(n=LENGTHS[0])).parameters())
    except Exception:  # it reads values as it is made; or whoever makes it for real says why it cannot be made
        return 0


def _same_numbers() -> AbstractContextManager[None]:
    """The caller's random numbers are as before afterwards."""
    import torch

    return torch.random.fork_rng(devices=[])
