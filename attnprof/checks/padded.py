"""Padding: what stands in masked tokens moves no other token, and a sequence of which all is masked spoils nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from attnprof.checks.examined import Asked, Examined, Skipped
from attnprof.checks.finding import Finding
from attnprof.checks.whereabouts import place_in
from attnprof.torch_private import Arguments, Keywords
from attnprof.words import Severity

PADDING = (
    "tgt_key_padding_mask",
    "key_padding_mask",
    "src_key_padding_mask",
    "attention_mask",
    "padding_mask",
    "pad_mask",
    "input_mask",
    "mask",
)
PADS = 3

MaskForm = Callable[[Tensor, torch.dtype], Tensor]
FORMS: Mapping[str, MaskForm] = {
    "True where a token is kept, [b, n]": lambda keep, dtype: keep,
    "1 where a token is kept, [b, n]": lambda keep, dtype: keep.long(),
    "True where a token is padding, [b, n]": lambda keep, dtype: ~keep,
    "0 where a token is kept, else the least number, [b, 1, 1, n]": lambda keep, dtype: torch.zeros(
        keep.shape, dtype=dtype
    ).masked_fill(~keep, torch.finfo(dtype).min)[:, None, None, :],
    "True where a token is kept, [b, 1, 1, n]": lambda keep, dtype: keep[:, None, None, :],
}


def look(examined: Examined) -> Iterator[Finding]:
    """A defect where no way of masking keeps padding out; a warning where a wholly masked sequence is not finite."""
    asked = examined.asked()
    if not examined.of_user:
        raise Skipped("it takes no mask of padding")
    name = mask_parameter(asked.module)
    if name is None:
        raise Skipped("its forward takes no mask of padding")
    if not all(asked.batched):
        raise Skipped("some of its inputs have no axis of the batch")
    if not asked.gives_tokens:
        raise Skipped("it gives no output a token")
    moved = {form: size for form, make in FORMS.items() if (size := _influence(asked, name, make)) is not None}
    if not moved:
        raise Skipped(f"it runs with none of {len(FORMS)} ways to write {name}")
    best = min(moved, key=lambda form: moved[form])
    if moved[best] > 10 * asked.rounding:
        yield Finding(
            "padding_leaks",
            Severity.DEFECT,
            f"with {name}, what stands in {PADS} padded tokens still moves the others",
            place_in("", asked.module),
            {"moved": moved[best], "forms_tried": list(moved)},
            f"mask the keys, before the softmax, wherever {name} says so",
        )
        return
    yield from _all_masked(asked, name, best)


def mask_parameter(module: nn.Module) -> str | None:
    """The parameter of a forward that masks padding."""
    taken = inspect.signature(module.forward).parameters
    return next((word for word in PADDING if word in taken), None)


def _influence(asked: Asked, name: str, make: MaskForm) -> float | None:
    """How far the outputs of kept tokens move with what stands in padded ones, first or last; None if it fails.

    Beside it is a sequence without padding, so that a mask of other axes does not pass for one of these.
    """
    n, nothing = asked.n, slice(0, 0)
    sizes = []
    for pads in (slice(0, PADS), slice(n - PADS, n)):
        keep = torch.ones(2, n, dtype=torch.bool)
        keep[0, pads] = False
        try:
            before, after = (
                _masked(asked, name, make(keep, asked.module_dtype), inputs)[0][..., keep[0], :]
                for inputs in (asked.replaced(nothing, nothing), asked.replaced(pads, nothing))
            )
        except Exception:  # this way to write a mask is not the one that it takes
            return None
        if not torch.isfinite(before).all():
            return None
        sizes.append(float((after - before).abs().max()) / max(float(before.abs().max()), 1e-30))
    return max(sizes)


def _masked(asked: Asked, name: str, mask: Tensor, inputs: Arguments) -> Tensor:
    """The output with one more argument."""
    forward = inspect.signature(asked.module.forward)

    def with_mask(_: nn.Module, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
        bound = forward.bind_partial(*args, **kwargs)
        bound.arguments[name] = mask
        return bound.args, bound.kwargs

    hook = asked.module.register_forward_pre_hook(with_mask, with_kwargs=True)
    try:
        return asked.run(inputs)
    finally:
        hook.remove()


def _all_masked(asked: Asked, name: str, form: str) -> Iterator[Finding]:
    """A sequence without a token beside a whole one, as the end of a data set may have it."""
    keep = torch.ones(2, asked.n, dtype=torch.bool)
    keep[1] = False
    out = _masked(asked, name, FORMS[form](keep, asked.module_dtype), asked.beside())
    if not torch.isfinite(out).all():
        whole = bool(torch.isfinite(out[0]).all())
        yield Finding(
            "masked_rows_not_finite",
            Severity.WARNING if whole else Severity.DEFECT,
            "a sequence of which every token is masked comes out as NaN"
            + ("" if whole else ", and so does the one beside it"),
            place_in("", asked.module),
            {"mask": f"{name}: {form}", "not_finite": int((~torch.isfinite(out)).sum())},
            "give a query without keys zeros: a NaN times a weight of zero is still one in the gradient",
        )
