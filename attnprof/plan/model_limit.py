"""What `limit hf:...` and `audit hf:... --frameworks` answer, as JSON objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk
from attnprof.models.lookup import NamedModel
from attnprof.models.work import crossover
from attnprof.plan.accelerators import Accelerator
from attnprof.plan.framework_audit import exact_figures, framework_rows
from attnprof.plan.memory_limits import decode_bound, limit_of
from attnprof.records import JsonDict


def limit_of_model(
    named: NamedModel,
    memory: int,
    lengths: Sequence[int],
    *,
    ask: CacheAsk,
    weights_dtype: str,
    card: Accelerator | None = None,
) -> JsonDict:
    """The longest n by pass, the most sequences by length, where attention passes the FFN, the least time of a step."""
    model = named.architecture
    limit = limit_of(model, memory, tuple(lengths), ask=ask, weights_dtype=weights_dtype)
    return {
        "target": model.name,
        "source": named.source,
        "weights_dtype": weights_dtype,
        "kv_dtype": ask.kv,
        "tp": ask.tp,
        "limit": {
            "card_bytes": memory,
            "weights_bytes": limit.weights_bytes,
            "free_bytes": limit.free_bytes,
            "n_max": {"decode": limit.decode_n, "prefill": limit.prefill_n, "train": limit.train_n},
            "concurrency": {str(n): count for n, count in limit.sequences.items()},
            "why": limit.why,
        },
        "crossover": {"core_over_ffn": crossover(model)},
        "decode_bounds": [] if card is None else decode_bounds(model, limit.sequences, ask, weights_dtype, card),
    }


def decode_bounds(
    model: Architecture, sequences: dict[int, int], ask: CacheAsk, weights_dtype: str, card: Accelerator
) -> list[dict[str, object]]:
    """The least time of a decoding step on a card, of one sequence and of as many as fit, at each length."""
    found = []
    for n, most in sequences.items():
        for count in sorted({1, most} - {0}):
            at = CacheAsk(n=n, sequences=count, kv=ask.kv, dtype=ask.dtype, tp=ask.tp)
            bound = decode_bound(
                model,
                at,
                weights_dtype=weights_dtype,
                flops_per_s=card.peak(ask.dtype),
                bytes_per_s=card.bytes_per_s,
            )
            found.append({"card": card.name, "source": card.source, "n": n, "sequences": count, **asdict(bound)})
    return found


def frameworks_of_model(named: NamedModel, lengths: Sequence[int]) -> JsonDict:
    """Every framework's figures beside the exact ones, at each length. Raises `AttnprofError` for an encoder."""
    model = named.architecture
    if not model.decodes:
        raise AttnprofError(
            f"{model.name} reads both ways, and frameworks' formulas are of causal models",
            hint="attnprof cost has its exact FLOPs",
        )
    tables = []
    for n in lengths:
        forward = exact_figures(model, n)
        trained = forward.trained
        tables.append(
            {
                "n": n,
                "exact": {
                    "forward": {"core_flops": plain(forward.core), "flops": plain(forward.total)},
                    "train": {"core_flops": plain(trained.core), "flops": plain(trained.total)},
                },
                "frameworks": [
                    {
                        "name": row.estimate.source.name,
                        "commit": row.estimate.source.commit,
                        "line": row.estimate.source.line,
                        "pass": "forward" if row.estimate.forward else "train",
                        "core_flops": plain(row.estimate.core),
                        "core_ratio": row.core_ratio,
                        "flops": plain(row.estimate.total),
                        "ratio": row.total_ratio,
                        "why": list(row.estimate.reasons),
                    }
                    for row in framework_rows(model, n)
                ],
            }
        )
    return {"target": model.name, "source": named.source, "per": "token", "lengths": tables}


def plain(value: Fraction | None) -> int | float | None:
    """A whole number where it is one."""
    if value is None:
        return None
    return value.numerator if value.denominator == 1 else float(value)
