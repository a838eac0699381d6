"""What an operator's schema says: of which functional operator it is a variant, and which arguments are factors."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from attnprof.torch_private import Overload, has_kernel, schema


def base_name(operator: Overload) -> str:
    """An overload's name without its namespace: `addmm_` of `aten::addmm_`."""
    return schema(operator).name.split("::")[1]


def out_arguments(operator: Overload) -> frozenset[str]:
    """Names of the arguments that results are written to: `out`, `grad_input`, `values` and `indices`."""
    return frozenset(a.name for a in schema(operator).arguments if a.kwarg_only and _is_written(a))


def writes_first(operator: Overload) -> bool:
    """Whether it is an in-place variant: `addmm_` of `addmm`."""
    arguments = schema(operator).arguments
    return base_name(operator).endswith("_") and bool(arguments) and _is_written(arguments[0])


def functional(operator: Overload) -> Overload:
    """The overload that does the same and returns a new tensor; the operator itself where it is that, or has none."""
    written = bool(out_arguments(operator))
    if not written and not writes_first(operator):
        return operator
    name = base_name(operator)
    name = name if written else name.removesuffix("_")
    found = [o for o in _overloads(operator.namespace, name) if not out_arguments(o) and not writes_first(o)]
    for alike in (_named, _typed):
        same = [o for o in found if alike(o) == alike(operator)]
        if same:
            return same[0]
    return operator


def _overloads(namespace: str, name: str) -> Iterator[Overload]:
    packet = getattr(getattr(torch.ops, namespace), name, None)
    if packet is not None:
        yield from (getattr(packet, overload) for overload in packet.overloads())


def _named(operator: Overload) -> list[tuple[str, str]]:
    return [(a.name, str(a.type)) for a in _read(operator)]


def _typed(operator: Overload) -> list[str]:
    return [str(a.type) for a in _read(operator) if str(a.type) not in ("Generator", "Optional[Generator]")]


def _read(operator: Overload) -> Iterator[torch.Argument]:
    outs = out_arguments(operator)
    return (a for a in schema(operator).arguments if a.name not in outs and a.name not in ALLOCATION)


# What a functional overload takes and its `out` variant does not need: where and how the result is to be made.
ALLOCATION = frozenset({"dtype", "layout", "device", "pin_memory", "memory_format"})


def _is_written(argument: torch.Argument) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def factor_positions(operator: Overload) -> tuple[int, ...]:
    """Which of a product's positional arguments may be factors: not what is added to it, nor a bias or a mask.

    What has a `beta` adds its first argument.
    """
    arguments = schema(operator).arguments
    adds = any(a.name == "beta" for a in arguments)
    return tuple(at for at, a in enumerate(arguments) if not (adds and at == 0) and not _is_added(a.name))


def _is_added(name: str) -> bool:
    return "bias" in name or "mask" in name


def is_composite(operator: Overload) -> bool:
    """Whether torch writes an operator in terms of others, which are counted one by one.

    Not where a CPU has a kernel for it all the same, as for `silu_backward`: that one runs, and makes no intermediates.
    """
    return has_kernel(operator, "CompositeImplicitAutograd") and not has_kernel(operator, "CPU")
