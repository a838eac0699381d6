"""Decoding: the state that a sequence keeps, how it grows, and what one more token reads and computes."""

from __future__ import annotations

import torch
from torch import Tensor

from attnprof.contracts import Decodes, SchemeTarget, Target
from attnprof.counting.built import Built
from attnprof.counting.counter import OperatorCounter
from attnprof.counting.origin import Origin
from attnprof.counting.storages import Lifetimes, unique_bytes
from attnprof.counting.tally import OperatorTally
from attnprof.errors import Unsupported
from attnprof.layers.cached_steps import DecodesByCache
from attnprof.layers.outputs import tensors_in
from attnprof.layers.tokens import tokens_of
from attnprof.records import Cost
from attnprof.shapes import Shape
from attnprof.torch_private import storage_key
from attnprof.usercode import UserCode
from attnprof.words import Level

OF_BLOCKS = "a stack of blocks has no decoding step here"


def state_sizes(built: Built, n: int) -> dict[str, int]:
    """`state_bytes` after n tokens and `state_growth_bytes` for one more. Raises `Unsupported` without a state."""
    if not isinstance(built.module, Decodes):
        raise Unsupported(
            f"{type(built.module).__name__} defines no decoding state",
            hint="a module decodes with `state(n)` and `step(x, state)`",
        )
    with built.within, torch.no_grad():
        now, later = (unique_bytes(tensors_in(built.module.state(length))) for length in (n, n + 1))
    return {"state_bytes": now, "state_growth_bytes": later - now}


def stated_sizes(built: Built, n: int) -> dict[str, int]:
    """`state_sizes` where a state takes no run of the module. Raises `Unsupported` otherwise."""
    if isinstance(built.module, DecodesByCache):
        raise Unsupported("its state is a cache that a whole forward fills: ask for --pass decode")
    return state_sizes(built, n)


def refuse_decoding(target: Target, shape: Shape) -> None:
    """Raise `Unsupported` where one token more means nothing: against a second sequence, or through whole blocks."""
    if shape.m is not None:
        raise Unsupported(
            "decoding is one token more of one sequence, which has no second length m",
            hint="leave out --keys: the length of the state is n",
        )
    if isinstance(target, SchemeTarget) and target.card.undecoded:
        raise Unsupported(
            f"{target.name} does not decode: {target.card.undecoded}", hint="`attnprof list --decode` names what does"
        )
    if shape.drafts > 1 and not isinstance(target, (UserCode, SchemeTarget)):
        raise Unsupported(
            f"the step of {target.name} takes one token, not {shape.drafts}",
            hint="--drafts is of a scheme, a model (hf:...), and code that takes a cache",
        )
    if shape.drafts > shape.n:
        raise Unsupported(f"{shape.drafts} drafts are more than the {shape.n} tokens that they follow")
    if isinstance(target, SchemeTarget) and shape.level == Level.BLOCK:
        raise Unsupported(OF_BLOCKS, hint="--level attention: the step and the state of one layer")


def stated_state(target: Target, shape: Shape) -> Cost | None:
    """The state that a pattern file states for a scheme whose maths is not written; None where it states none."""
    if not isinstance(target, SchemeTarget) or (shape.groups != shape.heads and not target.card.kv_heads):
        return None
    now, later = target.state_numbers(shape, shape.n), target.state_numbers(shape, shape.n + 1)
    if now is None or later is None:
        return None
    size = shape.batch * shape.dtype.bytes
    return Cost(
        flops_paper=target.flops_paper_step(shape),
        state_bytes=size * now,
        state_growth_bytes=size * (later - now),
        method="stated by the pattern file",
    )


def one_step(built: Built, shape: Shape, origin: Origin) -> tuple[OperatorTally, Lifetimes, int]:
    """A step against the state of n tokens: what it computes and allocates, and the bytes of the state that it reads.

    It takes one token, or as many as there are drafts.
    """
    n = shape.n
    if shape.drafts > 1 and isinstance(built.module, DecodesByCache) and not built.module.makes_its_mask:
        raise Unsupported(
            f"{type(built.module).__name__} is given no mask, without which {shape.drafts} tokens misread a cache",
            hint="--drafts of its whole model, which makes one",
        )
    inputs = [x.detach() for x in built.inputs if isinstance(x, Tensor)]
    tokens = [x.contiguous() for x in tokens_of(inputs, n, slice(-shape.drafts, None))]
    assert isinstance(built.module, Decodes)
    with torch.no_grad():  # a graph would hold what a step lets go of
        state = built.module.state(n)
    lives = Lifetimes()
    lives.before([*built.module.parameters(), *built.module.buffers(), *tokens])
    counter = OperatorCounter(OperatorTally(), lives, origin)
    lives.handed(tensors_in(state), counter.watched.discard)
    counter.watched = {storage_key(t) for t in tensors_in(state)}
    with torch.no_grad(), counter:
        built.module.step(*tokens, state)
    return counter.tally, lives, sum(counter.reads.values())
