"""The certificate of a model's formulas: its module in transformers, counted on fake tensors, beside them.

The whole module is made (without memory, whatever its size), its parameters are compared; then it is cut after the
first layers that have one of every kind, and a prefill of a few tokens is counted. Nothing is downloaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk
from attnprof.models.installed import config_kind, differences
from attnprof.models.lookup import NamedModel, class_facts
from attnprof.models.transformers_private import (
    cache_of,
    contiguous_sequences,
    language_model_of,
    made_from,
    modelling_file,
    no_collections,
    reference_path,
)
from attnprof.models.work import chunked_flops, model_pair_work, model_token_work
from attnprof.plan.serving import transformers_cache
from attnprof.records import JsonDict

if TYPE_CHECKING:
    from torch import Tensor, nn

    from attnprof.torch_private import FakeTensorMode

TOKENS = 64
LISTS = ("layers", "layer", "h", "blocks")
"""What modules call the list of their layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleCheck:
    """What a module counted, beside the formulas: parameters of the whole, FLOPs and cache of a prefill of `at_n`.

    `layers` of the model's were run. A figure that the module does not give is None. `defaults` are those in which the
    installed transformers differs from the shipped table: ours, theirs.
    """

    at_n: int
    layers: int
    params: tuple[int, int]
    flops: tuple[int, int]
    cache_bytes: tuple[int, int | None]
    uncounted: str
    module: str
    version: str
    defaults: Mapping[str, tuple[object, object]]
    kernels: str = "torch reference path, eager attention"
    dtype: str = "bfloat16"

    @property
    def formula_equals_module(self) -> bool:
        """Whether every figure that the module gives is the formula's, and every operator was counted."""
        cache = self.cache_bytes[1] is None or self.cache_bytes[0] == self.cache_bytes[1]
        return self.params[0] == self.params[1] and self.flops[0] == self.flops[1] and cache and not self.uncounted

    def to_json(self) -> JsonDict:
        """As a record holds it."""
        pairs = {"params": self.params, "flops": self.flops, "cache_bytes": self.cache_bytes}
        return {
            "formula_equals_module": self.formula_equals_module,
            "at_n": self.at_n,
            "layers": self.layers,
            "kernels": self.kernels,
            "dtype": self.dtype,
            "module": self.module,
            "transformers": self.version,
            **{name: {"formula": ours, "module": theirs} for name, (ours, theirs) in pairs.items()},
            "uncounted": self.uncounted or None,
            "defaults_differ": {key: {"shipped": a, "installed": b} for key, (a, b) in self.defaults.items()},
        }


def checked_module(named: NamedModel, n: int = TOKENS) -> ModuleCheck:
    """The certificate. Raises `AttnprofError` where transformers lacks the model, or its module does not run here."""
    with no_collections():
        return _checked(named, n)


def _checked(named: NamedModel, n: int) -> ModuleCheck:
    import transformers

    model = named.architecture
    config = config_kind(model.model_type)(**{"pad_token_id": 0, **named.overrides})  # one within any vocabulary
    kind = language_model_of(config, decodes=model.decodes)
    if kind is None:
        raise AttnprofError(
            f"transformers {transformers.__version__} has no language model of type {model.model_type!r}",
            hint="the readers' answer stands unchecked; leave out --check",
        )
    kept = model if _stored_once(model) else first_layers(model)
    try:
        with reference_path(modelling_file(kind)), contiguous_sequences():
            params, flops, cache, uncounted = _counted(kind, config, model, len(kept.layers), n)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        said = (str(error).strip().splitlines() or [""])[0]
        raise AttnprofError(
            f"{kind.__name__} does not run on {n} tokens here: {type(error).__name__}: {said}",
            hint="the readers' answer stands unchecked; leave out --check",
        ) from error
    held = transformers_cache.allocated(kept, CacheAsk(n=n)).bytes
    assert held is not None
    return ModuleCheck(
        at_n=n,
        layers=len(kept.layers),
        params=(model.params, params),
        flops=(module_flops(kept, n), flops),
        cache_bytes=(held, cache),
        uncounted=uncounted,
        module=kind.__name__,
        version=transformers.__version__,
        defaults=differences(model.model_type, class_facts()[model.model_type]["defaults"]),
    )


def _stored_once(model: Architecture) -> bool:
    """Whether one layer is stored and run at every depth: no list of layers that could be cut."""
    return len(model.groups) == 1 and model.reused_params == (len(model.layers) - 1) * model.layers[0].params > 0


def first_layers(model: Architecture) -> Architecture:
    """The model cut after the first layer that completes one of every kind."""
    last = max(group.where[0] for group in model.groups)
    return replace(model, layers=model.layers[: last + 1])


def module_flops(model: Architecture, n: int) -> int:
    """FLOPs of a prefill as the module executes it: every pair, chunks, padded convolutions, experts that it runs."""
    work, between = model_token_work(model), model_pair_work(model, n)
    convolutions = recurrences = 0
    for layer in model:
        for mixer in layer.recurrences:
            if mixer.conv_kernel:
                convolutions += 2 * mixer.conv_kernel * mixer.conv_channels * (n + mixer.conv_kernel - 1)
            recurrences += chunked_flops(mixer, n) or 0
    rest = (work.executed - work.conv - work.recurrence) * n
    return rest + convolutions + recurrences + between.eager + between.index_eager


def _counted(kind: object, config: object, model: Architecture, kept: int, n: int) -> tuple[int, int, int | None, str]:
    """Parameters of the whole module; FLOPs, bytes of the cache and uncounted operators of its first layers."""
    import torch

    from attnprof.counting.built import _make_fake
    from attnprof.counting.counter import OperatorCounter
    from attnprof.counting.factors import FactorOrigin
    from attnprof.counting.storages import Lifetimes
    from attnprof.counting.tally import OperatorTally
    from attnprof.torch_private import fake_mode

    OperatorCounter.calibrate()
    mode = fake_mode()
    module = _made(kind, config, mode)
    _make_fake(module, mode)
    module.eval()
    params = sum(parameter.numel() for parameter in module.parameters())
    if kept < len(model.layers):
        cut(module, len(model.layers), kept)
    tally, lives = OperatorTally(), Lifetimes()
    lives.before(module.parameters())
    with mode, torch.no_grad():
        ids = torch.zeros(1, n, dtype=torch.long)
        with OperatorCounter(tally, lives, FactorOrigin(module)):
            out = module(input_ids=ids, **({"use_cache": True} if model.decodes else {}))
    cache = cache_of(out)
    held = None if cache is None else sum(t.numel() * t.element_size() for t in _tensors(cache) if t.numel() > 1)
    return params, int(tally.flops), held, tally.why_uncounted()


def _made(kind: Any, config: Any, mode: FakeTensorMode) -> nn.Module:
    """The module on fake tensors; with eager attention, unless its class has only one of its own."""
    import torch

    module: nn.Module
    with mode:
        try:
            module = made_from(kind, config, attn_implementation="eager", dtype=torch.bfloat16)
        except ValueError:
            module = made_from(kind, config, dtype=torch.bfloat16)
    return module


def cut(module: nn.Module, depth: int, kept: int) -> None:
    """Keep the first layers of the list of layers. Raises `AttnprofError` where there is none of that length."""
    from torch import nn

    for part in module.modules():
        for name, child in part.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == depth and name in LISTS:
                part.add_module(name, child[:kept])
                return
    raise AttnprofError("the module has no list of its layers", hint="leave out --check")


def _tensors(value: object, seen: set[int] | None = None) -> Iterator[Tensor]:
    """Every tensor that a cache holds, each once."""
    from torch import Tensor

    seen = set() if seen is None else seen
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner, seen)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _tensors(inner, seen)
    elif type(value).__module__.startswith("transformers") and "Config" not in type(value).__name__:
        yield from _tensors({} if inspect.isclass(value) else vars(value), seen)
