"""Assertions for a user's own test suite: growth, causality, the pattern, equality, and counts that stay as they were.

Each takes whatever `attnprof.target` takes, and fails with the evidence. As pytest fixtures of the same names, without
an import, they come with attnprof's plugin.
"""

from __future__ import annotations

from collections.abc import Mapping

from attnprof.api import asked_of, shape_of, target, target_and_sizes

FIGURES: Mapping[str, str] = {
    "flops": "train_flops",
    "core": "train_core",
    "forward_flops": "forward_flops",
    "saved": "saved_bytes",
    "params": "param_bytes",
    "state": "state_bytes",
}
SHORT = 1024
SHOWN = (1024, 4096, 16384)


def assert_scaling(
    thing: object,
    *,
    flops: str | None = None,
    core: str | None = None,
    forward_flops: str | None = None,
    saved: str | None = None,
    params: str | None = None,
    state: str | None = None,
    **sizes: object,
) -> None:
    """Fail unless each figure of a target grows with n as claimed, at most: by exact counts, no device needed.

    Orders are written `1`, `n`, `n*log(n)`, `n*sqrt(n)`, `n**2`. `flops` and `core` are those of a training pass,
    `saved` the bytes kept for backward, `state` those of a decoding state. `sizes` are those of a `Shape`: batch, dim,
    heads, causal, level, ... A figure that grows more slowly than claimed passes; the message shows the derived form
    and counts.

        from attnprof.testing import assert_scaling

        def test_my_attention_is_linear():
            assert_scaling("my_model.py:Layer", flops="n", saved="n")
    """
    from attnprof.closed_forms.growth import GROWTHS, counted, growth, parse_order
    from attnprof.closed_forms.sampler import Sampler
    from attnprof.units import format_length

    claims = {"flops": flops, "core": core, "forward_flops": forward_flops, "saved": saved, "params": params}
    claims["state"] = state
    found, shape = asked_of(thing, SHORT, sizes)
    wrong = []
    for name, claim in claims.items():
        if claim is None:
            continue
        derived = growth(found, shape, FIGURES[name])
        if GROWTHS[derived.order] > GROWTHS[parse_order(claim)]:
            sampler = Sampler(found, shape)
            counts = (f"{counted(sampler, n, FIGURES[name]):,} at {format_length(n)}" for n in SHOWN)
            wrong.append(f"{name} grows as {derived.order}, not {claim}: {derived.text} ({', '.join(counts)})")
    if wrong:
        raise AssertionError(f"{found.name}: " + "; ".join(wrong))


def assert_no_leak(thing: object, n: int = 256, *, budget_s: float = 10.0, **sizes: object) -> None:
    """Fail if an output moves with a token after it: each position is tried, on random inputs in float64.

    The message names the pairs (query, key), how far ahead they are, and the part of the module with its line.
    """
    from attnprof.checks import CheckRequest, future
    from attnprof.checks.examined import Examined, Skipped

    found, own = target_and_sizes(thing, sizes)
    shape = shape_of(found, n, own)
    try:
        leaks = list(future.look(Examined(found, shape, CheckRequest(causal=True, budget_s=budget_s))))
    except Skipped as error:
        raise AssertionError(f"{found.name} cannot be looked at for leaks: {error.message}") from error
    if leaks:
        raise AssertionError(f"{found.name} at n = {n}: {leaks[0]}")


def assert_pattern(thing: object, pattern: object, n: int = 128, **sizes: object) -> None:
    """Fail unless a target's true dependencies, found by replacing tokens, are the edges of a pattern (at n <= 128).

    The message names the edges that are declared and not there, and those that are there and not declared.
    """
    from attnprof.checks import CheckRequest, declared
    from attnprof.checks.examined import Examined, Skipped

    found, own = target_and_sizes(thing, sizes)
    shape = shape_of(found, n, own)
    try:
        wrong = list(declared.look(Examined(found, shape, CheckRequest(against=target(pattern)))))
    except Skipped as error:
        raise AssertionError(f"{found.name} cannot be held against a pattern: {error.message}") from error
    if wrong:
        raise AssertionError(f"{found.name}: " + "; ".join(finding.what for finding in wrong))


def assert_same(thing: object, other: object, n: int = 128, *, tolerance: float = 1e-8, **sizes: object) -> None:
    """Fail unless two targets compute the same in float64: outputs, and gradients of inputs and parameters.

    The second is given the parameters of the first by their names. `tolerance` is relative to the largest value; the
    message names what differs, by how much, and in which rows.
    """
    from attnprof.checks.alike import differences

    one, own = target_and_sizes(thing, sizes)
    shape = shape_of(one, n, own)
    two = target(other)
    wrong = differences(one, two, shape, tolerance)
    if wrong:
        raise AssertionError(f"{one.name} and {two.name} at n = {n}: " + "; ".join(each.told() for each in wrong))
