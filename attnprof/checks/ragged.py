"""Lengths that nothing divides: does it run there, and is a causal one what it is in a longer sequence?"""

from __future__ import annotations

from collections.abc import Iterator

from attnprof.checks.examined import Asked, Examined, Skipped, off
from attnprof.checks.finding import Finding
from attnprof.checks.future import prefix_verdict
from attnprof.errors import AttnprofError
from attnprof.words import Severity

PRIMES = (31, 61, 127, 251, 509, 1021)
APART = 1e-6


def lengths(n: int) -> tuple[int, ...]:
    """One token, the greatest prime below n, and one less than n."""
    return tuple(dict.fromkeys((1, *([p for p in PRIMES if p < n][-1:]), *((n - 1,) if n > 2 else ()))))


def look(examined: Examined) -> Iterator[Finding]:
    """A warning where a length is refused; a defect where a causal target is something else at a shorter length."""
    if any("{n}" in str(value) for value in examined.target.parameters.values()):
        raise Skipped("it is made for each length")
    refused: dict[int, str] = {}
    for n in lengths(examined.shape.n):
        try:
            asked = examined.longer(n)
            out = asked.run()
        except (AttnprofError, ValueError, RuntimeError, AssertionError, IndexError, TypeError) as error:
            refused[n] = str(error).splitlines()[0][:160]
            continue
        if out.dim() > 1 and out.shape[-2] < n and examined.asked().gives_tokens:
            yield _cut(n, out.shape[-2])
        elif n > 1 and out.dim() > 1 and out.shape[-2] == n:
            yield from _shorter(examined, asked)
    if refused:
        yield Finding(
            "ragged_length",
            Severity.WARNING,
            f"it does not run at n = {', '.join(map(str, refused))}: {next(iter(refused.values()))}",
            evidence={"refused": {str(n): why for n, why in refused.items()}},
            advice="pad to a whole number of blocks inside, mask what was padded, and cut it off again",
        )


def _cut(n: int, given: int) -> Finding:
    return Finding(
        "tokens_lost",
        Severity.DEFECT,
        f"for {n} tokens it gives {given} outputs",
        evidence={"n": n, "outputs": given},
        advice="round the number of blocks up, not down, and mask what is padded",
    )


def _shorter(examined: Examined, asked: Asked) -> Iterator[Finding]:
    """Of a causal target of the user: the first tokens of a longer sequence give what they give alone."""
    whole = examined.asked()
    if not (examined.of_user and examined.claims_causal and prefix_verdict(examined).causal) or not all(whole.batched):
        return
    cut = tuple(
        x[..., : asked.n, :] if stream and x.is_floating_point() else x[..., : asked.n] if stream else y
        for x, y, stream in zip(whole.inputs, asked.inputs, whole.streams, strict=True)
    )
    moved = off(asked.run(cut), whole.run()[..., : asked.n, :])
    if moved > max(APART, 10 * asked.rounding):
        yield Finding(
            "differs_at_ragged_length",
            Severity.DEFECT,
            f"the first {asked.n} tokens of a causal sequence come out otherwise than alone",
            evidence={"n": asked.n, "of": whole.n, "moved": moved},
            advice="mask what is padded: a key of zeros still takes its share of a softmax",
        )
