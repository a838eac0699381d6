"""Decoding a module whose forward takes a cache of transformers: a forward that fills one, then some tokens more.

The cache is made, filled and read by its public ways alone: `DynamicCache(config=...)`, given to the forward by name.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attnprof.contracts import Steps
from attnprof.errors import Unsupported
from attnprof.layers.outputs import first_output, tensors_in
from attnprof.layers.tokens import tokens_of
from attnprof.torch_private import Arguments, Keywords, structure

CACHES, CONFIGS = "transformers.cache_utils", "transformers.configuration_utils"
MODELS = "transformers.modeling_utils"
PAST = ("past_key_values", "past_key_value", "cache", "layer_past", "cache_params")
WRONG_KIND = (TypeError, AttributeError, LookupError)


@dataclass(frozen=True, slots=True, eq=False)
class CacheState:
    """A cache as a state: torch's pytree finds the tensors that it holds, but for numbers that are held as tensors."""

    cache: object

    def tensors(self) -> list[Tensor]:
        """What it keeps of each layer."""
        layers: Sequence[object] = vars(self.cache).get("layers", ())
        found = tensors_in([list(vars(layer).values()) for layer in layers])
        return [t for t in found if t.dim() and t.numel()]


structure(CacheState, CacheState.tensors)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How a module is given a cache: the parameter that takes it, and what draws its inputs for n tokens."""

    past: str
    draw: Callable[[int], tuple[Tensor, ...]]

    def run(self, module: nn.Module, streams: Sequence[Tensor], cache: object) -> Tensor:
        """The output for tokens after those that a cache holds, which holds them too afterwards."""
        forward = inspect.signature(module.forward)

        def given(_: nn.Module, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
            bound = forward.bind_partial(*args, **kwargs)
            bound.arguments[self.past] = cache
            if "use_cache" in forward.parameters:
                bound.arguments["use_cache"] = True
            return bound.args, bound.kwargs

        hook = module.register_forward_pre_hook(given, with_kwargs=True)
        try:
            return first_output(module(*streams))
        finally:
            hook.remove()


class DecodesByCache:
    """What a module that takes a cache is given besides: it is its class for the instances that were built here."""

    cache_use: CacheUse

    @property
    def makes_its_mask(self) -> bool:
        """Whether it is a whole model, which masks; a layer alone is given no mask, as one token needs none."""
        return isinstance(self, vars(sys.modules[MODELS])["PreTrainedModel"])

    def state(self, n: int) -> CacheState:
        """A cache that holds n random tokens, the last of which came by a step.

        After a prefill a window may still be a view of all its tokens; a step leaves what it goes on with.
        """
        drawn = self.cache_use.draw(n)
        if n == 1:
            return self.prefill(*drawn)
        state = self.prefill(*tokens_of(drawn, n, slice(0, -1)))
        return self.step(*tokens_of(drawn, n), state)[1]

    def prefill(self, *streams: Tensor) -> CacheState:
        """A cache that holds these tokens. Raises `Unsupported` where the module keeps nothing in one."""
        assert isinstance(self, nn.Module)
        cache, past = _new_cache(self), self.cache_use.past
        try:
            self.cache_use.run(self, streams, cache)
        except WRONG_KIND as error:  # a parameter of that name that takes something else
            said = (str(error).strip().splitlines() or [""])[0]
            raise Unsupported(
                f"its {past} takes no DynamicCache: {type(error).__name__}: {said}",
                hint="a module of your own decodes with `state(n)` and `step(x, state)`",
            ) from error
        state = CacheState(cache)
        if not state.tensors():
            raise Unsupported(
                f"it takes {past}, and keeps nothing in a DynamicCache",
                hint="a decoder keeps keys and values: is_decoder of its config, or the number of its layer",
            )
        return state

    def step(self, *given: Any) -> tuple[Tensor, CacheState]:
        """Some tokens more, and last the state."""
        assert isinstance(self, nn.Module)
        *streams, state = given
        return self.cache_use.run(self, streams, state.cache), state


def decoding(module: nn.Module, draw: Callable[[int], tuple[Tensor, ...]]) -> nn.Module:
    """The module, which decodes by a cache from now on if its forward takes one and it has no step of its own."""
    past = cache_parameter(module)
    if past is not None and not isinstance(module, Steps):
        vars(module)["cache_use"] = CacheUse(past, draw)
        module.__class__ = _with_steps(type(module))
    return module


def cache_parameter(module: nn.Module) -> str | None:
    """The parameter of a forward that takes a cache of transformers; None where there is none, or it says otherwise."""
    if CACHES not in sys.modules:
        return None
    taken = inspect.signature(module.forward).parameters
    named = (taken[name] for name in PAST if name in taken)
    fitting = (p.name for p in named if p.annotation is p.empty or "Cache" in str(p.annotation))
    return next(fitting, None)


@functools.cache
def _with_steps(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of the same name with the methods of decoding."""
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, DecodesByCache), named)


def _new_cache(module: nn.Module) -> object:
    """An empty cache; by the module's config, where it has one, with windows and states as its layers have them."""
    config = vars(module).get("config")
    configured = isinstance(config, vars(sys.modules[CONFIGS])["PreTrainedConfig"])
    kind = vars(sys.modules[CACHES])["DynamicCache"]
    cache: object = kind(config=config) if configured else kind()
    return cache
