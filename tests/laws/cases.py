"""The catalogue as cases of the laws: every scheme with maths, small enough to cross its own block at n = 100."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from attnprof.records import Shape, Value
from attnprof.targets import catalog
from attnprof.targets.scheme import CatalogTarget

# Parameters that make several blocks of a hundred tokens; a scheme that is not named keeps the paper's.
SMALL: dict[str, dict[str, Value]] = {
    "bigbird": {"block": 8},
    "block_local": {"block": 16, "look_back": 1},
    "compressive": {"segment": 16, "memory": 24, "compressed": 10, "rate": 3},
    "dilated_window": {"window": 8, "dilation": 3},
    "etc": {"window": 8, "global_tokens": 3, "clip": 2},
    "image_1d": {"query_block": 16, "memory_block": 8},
    "image_2d": {"query_block": 4, "memory_block": 2},
    "linear": {"chunk": 16},
    "linformer": {"rank": 12},
    "longformer": {"window": 16, "global_tokens": 2},
    "memory_compressed": {"block": 16},
    "performer": {"features": 24, "chunk": 16},
    "reformer": {"chunk": 8, "hashes": 2},
    "set_transformer": {"points": 8},
    "sinkhorn": {"block": 8},
    "sinks": {"window": 16, "sinks": 3},
    "sliding_window": {"window": 16},
    "sortcut": {"block": 8},
    "swin": {"window": 4},
    "transformer_xl": {"segment": 16, "memory": 24},
}
# Settings beyond the defaults that are other maths.
VARIANTS: dict[str, list[dict[str, Value]]] = {
    "axial": [{"combine": "merge"}],
    "bigbird": [{"layout": "prefix"}],
    "compressive": [{"memory": 0}, {"segment": 40}],
    "etc": [{"clip": 9}],
    "linear": [{"feature": "relu"}, {"feature": "poly2"}, {"chunk": 4096}],
    "linformer": [{"sharing": "none"}, {"sharing": "kv"}, {"sharing": "layerwise"}],
    "longformer": [{"dilation": "2,1"}, {"window": "8,16", "dilation": "1,3"}],
    "memory_compressed": [{"stack": "LMLML"}],
    "performer": [{"kernel": "relu"}, {"kernel": "hyperbolic"}],
    "pooled": [{"pooling": "max"}, {"pooling": "conv"}],
    "reformer": [{"duplicates": "once"}, {"hashes": 1}],
    "routing": [{"sharing": "never"}, {"sharing": "always"}],
    "set_transformer": [{"variant": "official"}],
    "sparse_fixed": [{"combine": "alternate"}, {"combine": "heads"}],
    "sparse_strided": [{"combine": "alternate"}, {"combine": "heads"}],
    "sinkhorn": [{"hard": True}],
    "sortcut": [{"hard": True}],
    "swin": [{"merging": True}],
    "transformer_xl": [{"same_length": True}, {"same_length": True, "memory": 200}, {"memory": 0}, {"segment": 48}],
}
# Work or memory that grows as n^2 by design.
QUADRATIC = frozenset({"cross", "dense", "flash", "memory_compressed", "pooled", "switch"})


@dataclass(frozen=True)
class Case:
    """A scheme with parameters, an implementation and a causal setting."""

    name: str
    causal: bool
    params: dict[str, Value] = field(default_factory=dict)
    impl: str | None = None

    @property
    def target(self) -> CatalogTarget:
        """The target, at small parameters."""
        found = catalog.find(self.name, params={**SMALL.get(self.name, {}), **self.params}, impl=self.impl)
        assert isinstance(found, CatalogTarget)
        return found

    def shape(self, n: int, dtype: str = "float64", **sizes: int) -> Shape:
        """Two sequences of width 16 in two heads, unless told otherwise."""
        return Shape(**{"n": n, "batch": 2, "dim": 16, "heads": 2, "causal": self.causal, "dtype": dtype, **sizes})  # type: ignore[arg-type]

    def __str__(self) -> str:
        settings = ",".join(f"{k}={v}" for k, v in self.params.items())
        parts = (self.name, settings, self.impl, "causal" if self.causal else "both-ways")
        return "-".join(part for part in parts if part)


def executable() -> list[str]:
    """The schemes whose maths is written, each once."""
    return list(catalog.distinct_schemes())


def cases(variants: bool = True) -> list[Case]:
    """Every executable scheme in every causal setting and variant, and patterns by gather and masked."""
    found = []
    for name in executable():
        for params in [{}, *(VARIANTS.get(name, []) if variants else [])]:
            card = catalog.entry(name).card
            impls = [impl for impl in catalog.able(name, card) if impl in ("gather", "masked")] or [None]
            found += [Case(name, causal, params, impl) for causal in card.causality for impl in impls]
    return found


def as_params(found: list[Case]) -> list[object]:
    """Cases with readable ids."""
    return [pytest.param(case, id=str(case)) for case in found]


def built(case: Case, shape: Shape) -> tuple[nn.Module, nn.Module, tuple[Tensor, ...]]:
    """The module, its reference with the same parameters, and inputs, from a fixed seed, in evaluation mode."""
    torch.manual_seed(shape.n)
    module, reference = case.target.build(shape).eval(), case.target.reference(shape).eval()
    reference.load_state_dict(module.state_dict())
    return module, reference, case.target.inputs(shape)


def gradients(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    """The output, and the gradients of every input and parameter (zeros where one has no part in it)."""
    leaves = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    out = module(*leaves)
    scattered = torch.arange(out.numel(), dtype=torch.float64).mul(12.9898).sin()
    out.backward(scattered.to(out.dtype).reshape(out.shape))
    tensors = [t for t in (*leaves, *module.parameters()) if t.requires_grad]
    return out.detach(), [torch.zeros_like(t) if t.grad is None else t.grad for t in tensors]
