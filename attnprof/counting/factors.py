"""Core as every product that has no parameter among its factors, for modules in which nothing is marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn

from attnprof.counting.origin import Origin, engine_node
from attnprof.counting.storages import StorageMap, flat
from attnprof.torch_private import Arguments, current_node, next_sequence, sequence_of, storage_key

# What adds a gradient to others, or sets it beside them, leaves it that gradient, whatever the others are made of.
SUMS = frozenset({"add", "sub", "cat", "stack", "copy"})

# What takes some of its first argument's elements, which of them the others say: rows of a bank of weights, by data.
SELECTIONS = frozenset({"index", "_unsafe_index", "index_select", "gather", "embedding", "take"})


class Product:
    """One product of a backward that is written by hand, called core until its result turns up as a gradient."""

    def __init__(self, flops: int) -> None:
        self.flops = flops


class FactorHistory(NamedTuple):
    """What a storage was made of: parameters (None where the input is among them too), and products as they came.

    `selected`: data chose which elements of the parameters: an expert's weights, or the embeddings of some ids. They
    are a factor like any weight, but what a product makes of them is of the input.
    """

    parameters: frozenset[int] | None = None
    products: frozenset[Product] = frozenset()
    selected: bool = False


OF_INPUT = FactorHistory()
CONSTANT = FactorHistory(frozenset())


class FactorOrigin(Origin):
    """Core is every product that has no parameter among its factors, and the backward of such a product.

    What is computed from parameters and constants alone (a transposed, cast, masked or normalised weight) counts as a
    parameter, and so does a selection of one by data (gathered experts, a bank of adapters); what is added to a product
    or masks it (a bias) is no factor.
    """

    follows = True

    def __init__(self, module: nn.Module) -> None:
        self.past: StorageMap[FactorHistory] = StorageMap()
        self.forward: dict[int, bool] = {}
        self.since = next_sequence()
        self.by_hand = False
        self.weights: set[int] = set()
        self.parameters = {storage_key(p): p for p in module.parameters()}
        for constant in (*module.buffers(), *(t for part in module.modules() for t in flat(vars(part).values()))):
            self.past.put(constant, CONSTANT)
        for key, parameter in self.parameters.items():
            self.past.put(parameter, FactorHistory(frozenset({key})))

    def is_core(self, factors: Iterable[Tensor]) -> bool:
        weights = self._parameters_of(factors)
        self.weights |= weights
        node = engine_node()
        core = not weights if node is None else self.forward.get(sequence_of(node), not weights)
        self.by_hand = core and node is None and current_node() is not None
        for number in range(self.since, next_sequence()):  # more than one node where transforms are nested
            self.forward[number] = core
        return core

    def _parameters_of(self, factors: Iterable[Tensor]) -> set[int]:
        """The parameters that are factors: of a factor that the input has a part in, none."""
        pasts = (self.past.get(t) or OF_INPUT for t in factors)
        return {key for past in pasts for key in past.parameters or ()}

    def made(self, operator: str, args: Arguments, out: object, flops: int | None = None) -> None:
        self.since = next_sequence()
        given = [self.past.get(t) or OF_INPUT for t in flat(args)]
        if operator in SELECTIONS and given[0].parameters:
            self._keep(out, given[0]._replace(selected=True))
            return
        known = [past.parameters for past in given if past.parameters is not None]
        parameters = frozenset().union(*known) if len(known) == len(given) else None
        if operator == "lift_fresh":
            parameters = frozenset()
        selected = any(past.selected for past in given)
        if selected and flops is not None:
            parameters = None
        if flops is None:
            products = self._carried(operator.removesuffix("_"), given)
        else:
            products = frozenset({Product(flops)}) if self.by_hand else frozenset()
        self._keep(out, FactorHistory(parameters, products, selected and parameters is not None))

    def _carried(self, operator: str, given: list[FactorHistory]) -> frozenset[Product]:
        """The products whose results are still gradients as they came after this operator."""
        if any(past == OF_INPUT for past in given) and operator not in SUMS:
            return frozenset()
        return frozenset().union(*(past.products for past in given))

    def _keep(self, out: object, past: FactorHistory) -> None:
        for t in flat((out,)):
            if past != OF_INPUT:
                self.past.put(t, past)
            elif storage_key(t) not in self.parameters:
                self.past.drop(t)

    def misjudged(self) -> int:
        found = {
            product
            for key, parameter in self.parameters.items()
            if key in self.weights and parameter.grad is not None
            for product in (self.past.get(parameter.grad) or OF_INPUT).products
        }
        flops = sum(product.flops for product in found)
        for product in found:
            product.flops = 0
        return flops
