"""What a pattern file states in closed form, bound to a shape: edges, pairs, products, the paper's count, the state."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from attnprof.pattern.param import accepted
from attnprof.shapes import Shape
from attnprof.targets.catalog import Entry
from attnprof.units import Value


def context_of(shape: Shape, layer: int, head: int) -> dict[str, Value]:
    """What a pattern function may ask for that is not a parameter of its scheme."""
    return {
        "causal": shape.causal,
        "layer": layer,
        "head": head,
        "seed": shape.seed,
        "heads": shape.heads,
        "head_dim": shape.d,
    }


class Stated:
    """The closed forms of a target that comes from a pattern file; None wherever the file states none."""

    entry: Entry

    @property
    def layers(self) -> int:
        """Layers of the smallest stack that the scheme repeats."""
        raise NotImplementedError

    def resolve(self, n: int) -> dict[str, Value]:
        """Its parameters at length n."""
        raise NotImplementedError

    def encodes(self, shape: Shape) -> bool:
        """Whether the shape asks for an encoder over m tokens and a decoder over n."""
        raise NotImplementedError

    def edges(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of distinct edges of one layer and head; with `later`, of as many tokens more."""
        found: int | None = self._of_head(self.entry.edges, shape, layer, head, later)
        return found

    def pairs(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | None:
        """The closed count of query-key pairs of one layer and head, keys that are slots included; `later` as above."""
        found: int | None = self._of_head(self.entry.pairs, shape, layer, head, later)
        return found

    def pairs_step(self, shape: Shape, layer: int = 0, head: int = 0) -> int | None:
        """Keys that the token after n reads, where that is not what the forward's last row would."""
        found: int | None = self._of_head(self.entry.pairs_step, shape, layer, head)
        return found

    def score_products(self, shape: Shape, layer: int = 0, head: int = 0, later: int = 0) -> int | Fraction:
        """Products of the width d of a key that scores take beside q k, in one layer and head: positions, labels.

        A narrower one is a part of one. With `later`, those of as many tokens more, at the parameters of n.
        """
        found: int | Fraction | None = self._of_head(self.entry.score_products, shape, layer, head, later)
        return 0 if found is None else found

    def _of_head(self, closed: Callable[..., Any] | None, shape: Shape, layer: int, head: int, later: int = 0) -> Any:
        if closed is None:
            return None
        given = {**context_of(shape, layer, head), **self.resolve(shape.n)}
        return closed(shape.n + later, **accepted(closed, **given))

    def flops_paper(self, shape: Shape) -> int | None:
        """The paper's formula for the core, forward: all layers, as often as they stand in the stack, and the batch.

        Of an encoder and a decoder: both, and 4 n m D for each cross-attention (Vaswani et al. 2017).
        """
        if self.encodes(shape):
            source = self.flops_paper(shape.replace(n=shape.keys, m=None, causal=False))
            within = self.flops_paper(shape.replace(m=None))
            return None if source is None or within is None else source + within + crossing(shape, self.layers)
        return self._stated(self.entry.flops_paper, shape, shape.keys)

    def flops_paper_step(self, shape: Shape) -> int | None:
        """The paper's formula for one token more after n, its own key included."""
        return self._stated(self.entry.flops_paper_step, shape, shape.n + 1)

    def _stated(self, formula: Callable[..., int] | None, shape: Shape, keys: int) -> int | None:
        if formula is None or shape.d_v != shape.d:  # the papers' D is h d, of keys and values alike
            return None
        sizes: dict[str, object] = {
            "dim": shape.heads * shape.d,
            "heads": shape.heads,
            "causal": shape.causal,
            "keys": keys,
        }
        return shape.batch * shape.repeats * formula(shape.n, **accepted(formula, **sizes, **self.resolve(shape.n)))

    def state_numbers(self, shape: Shape, n: int) -> int | None:
        """Numbers that decoding keeps of one sequence after n tokens, in all layers of the stack."""
        formula = self.entry.state_numbers
        if formula is None:
            return None
        sizes = {"dim": shape.dim, "heads": shape.heads, "kv_heads": shape.groups, "head_dim": shape.d}
        sizes["v_head_dim"] = shape.d_v
        return self.layers * shape.repeats * formula(n, **accepted(formula, **sizes, **self.resolve(n)))


def crossing(shape: Shape, layers: int) -> int:
    """FLOPs of the cross-attention of all blocks: 2 n m (d + d_v) a head, which is 4 n m D where D = h d."""
    return 2 * shape.batch * shape.n * shape.keys * shape.heads * (shape.d + shape.d_v) * layers * shape.repeats
