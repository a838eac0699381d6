"""Decoding against the forward: a step with the state of all tokens but the last gives what the forward gives."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from attnprof.checks.examined import Asked, Examined, Skipped, off
from attnprof.checks.finding import Finding
from attnprof.checks.future import prefix_verdict
from attnprof.checks.whereabouts import place_in
from attnprof.contracts import Prefills
from attnprof.counting.eagerly import quietly
from attnprof.layers.cached_steps import DecodesByCache
from attnprof.layers.outputs import first_output
from attnprof.layers.tokens import tokens_of
from attnprof.words import Severity

APART = 1e-4


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where the step differs: by `prefill` and `step` of the module, or by a cache of transformers."""
    asked = examined.asked()
    if examined.shape.n < 2 or not prefix_verdict(examined).causal:
        raise Skipped("it is not causal: what a token gives depends on later ones")
    if not isinstance(asked.module, Prefills):
        raise Skipped("it declares no state: a module decodes with `prefill(*streams)` and `step(*streams, state)`")
    how = "a DynamicCache" if isinstance(asked.module, DecodesByCache) else "prefill and step"
    stepped = _last_step(asked.module, asked)
    whole = asked.run()[..., -1:, :]
    moved = off(stepped, whole)
    if moved > APART:
        yield Finding(
            "decode_differs",
            Severity.DEFECT,
            f"by {how}, the last of {asked.n} tokens comes out otherwise than in the whole forward",
            place_in("", asked.module),
            {"off": moved, "n": asked.n, "by": how},
            "look at the position of the new token, and at what the state keeps of the first and the last one",
        )


def _last_step(module: Prefills, asked: Asked) -> Tensor:
    torch.manual_seed(asked.seed)
    with torch.no_grad(), quietly():
        state = module.prefill(*tokens_of(asked.inputs, asked.n, slice(0, -1)))
        return first_output(module.step(*tokens_of(asked.inputs, asked.n), state))
