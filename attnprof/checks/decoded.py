"""Decoding against the forward: a step with the state of all tokens but the last gives what the forward gives."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from attnprof.checks.examined import Asked, Examined, Skipped, off
from attnprof.checks.finding import Finding
from attnprof.checks.future import prefix_verdict
from attnprof.checks.whereabouts import place_in
from attnprof.contracts import Prefills
from attnprof.layers.outputs import first_output
from attnprof.torch_private import Arguments, Keywords
from attnprof.words import Severity

CACHES = "transformers.cache_utils"
PAST = ("past_key_values", "past_key_value", "cache", "layer_past")
APART = 1e-4


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where the step differs: by `prefill` and `step` of the module, or by a cache of transformers."""
    asked = examined.asked()
    if examined.shape.n < 2 or not prefix_verdict(examined).causal:
        raise Skipped("it is not causal: what a token gives depends on later ones")
    if isinstance(asked.module, Prefills):
        stepped, how = _by_steps(asked), "prefill and step"
    else:
        stepped, how = _by_cache(asked), "a DynamicCache"
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


def _by_steps(asked: Asked) -> Tensor:
    module = asked.module
    assert isinstance(module, Prefills)
    torch.manual_seed(asked.seed)
    with torch.no_grad():
        state = module.prefill(*_part(asked, slice(0, -1)))
        return first_output(module.step(*_part(asked, slice(-1, None)), state))


def _by_cache(asked: Asked) -> Tensor:
    """The last token with a cache of transformers, if the forward takes one. Raises `Skipped` otherwise."""
    taken = inspect.signature(asked.module.forward).parameters
    past = next((name for name in PAST if name in taken), None)
    caches = sys.modules.get(CACHES)
    if past is None or caches is None:
        raise Skipped("it declares no state: a module decodes with `prefill(*streams)` and `step(*streams, state)`")
    cache = vars(caches)["DynamicCache"]()
    try:
        with_cache(asked, past, cache, _part(asked, slice(0, -1)))
    except Exception as error:  # a parameter of that name that takes something else
        raise Skipped(f"its {past} takes no DynamicCache: {type(error).__name__}") from error
    seen = cache.get_seq_length()
    if seen != asked.n - 1:
        raise Skipped(f"its cache holds {seen} tokens after {asked.n - 1}")
    return with_cache(asked, past, cache, _part(asked, slice(-1, None)))


def with_cache(asked: Asked, past: str, cache: Any, inputs: tuple[Any, ...]) -> Tensor:
    """The output for some tokens after those that a cache holds, which holds them too afterwards."""
    forward = inspect.signature(asked.module.forward)

    def given(_: nn.Module, args: Arguments, kwargs: Keywords) -> tuple[Any, Any]:
        bound = forward.bind_partial(*args, **kwargs)
        bound.arguments[past] = cache
        if "use_cache" in forward.parameters:
            bound.arguments["use_cache"] = True
        return bound.args, bound.kwargs

    hook = asked.module.register_forward_pre_hook(given, with_kwargs=True)
    try:
        return asked.run(inputs)
    finally:
        hook.remove()


def _part(asked: Asked, at: slice) -> tuple[Any, ...]:
    """Every input that has an axis of tokens, some of them."""
    found = []
    for x in asked.inputs:
        if isinstance(x, Tensor) and x.is_floating_point() and x.dim() > 1 and x.shape[-2] == asked.n:
            found.append(x[..., at, :])
        elif isinstance(x, Tensor) and not x.is_floating_point() and x.shape[-1:] == (asked.n,):
            found.append(x[..., at])
        else:
            found.append(x)
    return tuple(found)
