"""Assertions for a user's own test suite: that a cost grows as it is meant to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attnprof.api import asked_of

FIGURES: Mapping[str, str] = {
    "flops": "train_flops",
    "core": "train_core",
    "forward_flops": "forward_flops",
    "saved": "saved_bytes",
    "params": "param_bytes",
    "state": "state_bytes",
}
SHORT = 1024


def assert_scaling(
    thing: Any,
    *,
    flops: str | None = None,
    core: str | None = None,
    forward_flops: str | None = None,
    saved: str | None = None,
    params: str | None = None,
    state: str | None = None,
    **sizes: Any,
) -> None:
    """Fail unless each figure of a target grows with n as claimed, at most: by exact counts, no device needed.

    Orders are written `1`, `n`, `n*log(n)`, `n*sqrt(n)`, `n**2`. `flops` and `core` are those of a training pass,
    `saved` the bytes kept for backward, `state` those of a decoding state. `thing` is whatever `attnprof.target` takes;
    `sizes` are those of a `Shape`: batch, dim, heads, causal, level, ... A figure that grows more slowly than claimed
    passes; the message shows the derived form.

        from attnprof.testing import assert_scaling

        def test_my_attention_is_linear():
            assert_scaling("my_model.py:Layer", flops="n", saved="n")
    """
    from attnprof.closed_forms.growth import GROWTHS, growth, parse_order

    claims = {"flops": flops, "core": core, "forward_flops": forward_flops, "saved": saved, "params": params}
    claims["state"] = state
    found, shape = asked_of(thing, SHORT, sizes)
    wrong = []
    for name, claim in claims.items():
        if claim is None:
            continue
        derived = growth(found, shape, FIGURES[name])
        if GROWTHS[derived.order] > GROWTHS[parse_order(claim)]:
            wrong.append(f"{name} grows as {derived.order}, not {claim}: {derived.text}")
    if wrong:
        raise AssertionError(f"{found.name}: " + "; ".join(wrong))
