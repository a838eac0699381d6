"""What `cost hf:...` answers: FLOPs by group of layers and in total, caches, engines; a JSON object of integers.

`prefill` is the forward of n tokens, `train` that three times, `decode` a step of q tokens behind n that are kept (q
above 1 verifies drafts). FLOPs are of one sequence; `per_token` divides them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from attnprof.errors import AttnprofError
from attnprof.models.architecture import Architecture, ModelGroup, ModelLayer
from attnprof.models.caches import (
    PRECISIONS,
    CacheAsk,
    growth_bytes,
    growth_elements,
    kv_bytes,
    layer_kv_bytes,
    layer_state_bytes,
    read_bytes,
    state_bytes,
)
from attnprof.models.lookup import NamedModel
from attnprof.models.reached import seen_after
from attnprof.models.work import (
    PairWork,
    TokenWork,
    chunked_flops,
    crossover,
    model_pair_work,
    model_token_work,
    pair_work,
    token_work,
)
from attnprof.plan.serving import engine_answers
from attnprof.plan.serving.allocation import EngineAnswer
from attnprof.records import JsonDict
from attnprof.words import Pass

PASSES = ("prefill", "train", "decode")
TRAIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAsk:
    """What is asked of a model: lengths, passes, tokens of a decoding step, and how the caches are kept."""

    lengths: Sequence[int]
    passes: Sequence[str] = PASSES
    q: int = 1
    sequences: int = 1
    kv: str = "bfloat16"
    dtype: str = "bfloat16"
    tp: int = 1

    def caches(self, n: int) -> CacheAsk:
        """The same at one length."""
        return CacheAsk(n=n, sequences=self.sequences, kv=self.kv, dtype=self.dtype, tp=self.tp)


def cost_of_model(named: NamedModel, ask: ModelAsk) -> JsonDict:
    """The answer. Raises `AttnprofError` where a step of decoding alone is asked of a model that makes none."""
    model = named.architecture
    passes = passes_of(model, ask.passes)
    return {
        "target": model.name,
        "source": named.source,
        "model_type": model.model_type,
        "config_hash": config_hash(named.config.values),
        "layers": len(model.layers),
        "params": {"total": model.params, "active": model.active_params, "embedding": model.embedding_params},
        "notes": [*model.notes, *([] if model.decodes else ["tokens read later ones: no cache, no decoding step"])],
        "groups": [facts_of(group) for group in model.groups],
        "seen_after": [str(seen) for seen in seen_after(model)],
        "executed_as": "eager attention: every pair that is held; recurrences in chunks, but for decoding",
        "crossover": {"core_over_ffn": crossover(model)},
        "flops": [flops_at(model, n, name, ask) for name in passes for n in ask.lengths],
        "caches": [caches_at(model, ask.caches(n), q=ask.q) for n in ask.lengths],
    }


def passes_of(model: Architecture, asked: Sequence[str]) -> list[str]:
    """The passes that the model has: an encoder, whose tokens read later ones, takes no step."""
    passes = [name for name in asked if name != Pass.DECODE or model.decodes]
    if not passes:
        raise AttnprofError(f"{model.name} takes no decoding step: its tokens read later ones", hint="--pass forward")
    return passes


def config_hash(values: Mapping[str, object]) -> str:
    """A short hash of all values that the layers were read from."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def facts_of(group: ModelGroup) -> dict[str, object]:
    """What a group of layers is: sizes, parameters, and the FLOPs of one token in one of them."""
    layer, ffn = group.layer, group.layer.ffn
    first = layer.softmaxes[0] if layer.softmaxes else None
    return {
        "kind": layer.title,
        "count": group.count,
        "layers": list(group.where),
        "params": {"one": layer.params, "all": group.count * layer.params},
        "heads": first.heads if first else None,
        "kv_heads": first.kv_heads if first else None,
        "head_dim": first.head_dim if first else None,
        "v_head_dim": first.v_head_dim if first else None,
        "window": first.window if first else None,
        "chunk": first.chunk if first else None,
        "state_elements": sum(mixer.state_elements for mixer in layer.recurrences),
        "ffn": {
            "kind": ffn.kind,
            "width": ffn.width,
            "experts": ffn.experts,
            "active": ffn.active,
            "shared": ffn.shared,
        },
    }


def flops_at(model: Architecture, n: int, name: str, ask: ModelAsk) -> dict[str, object]:
    """FLOPs of one pass at one length: by group, in total, and a token's share of the total."""
    tokens, past = (ask.q, n) if name == Pass.DECODE else (n, 0)
    times = TRAIN if name == Pass.TRAIN else 1
    groups = [
        {
            "kind": group.layer.title,
            "count": group.count,
            **_row(
                token_work(group.layer).times(group.count),
                pair_work(group.layer, tokens, past=past).times(group.count),
                tokens,
                times,
            ),
            "recurrence_flops_executed": _executed(group.layer, tokens, group.count * times, decoding=past > 0),
        }
        for group in model.groups
    ]
    total = _row(model_token_work(model), model_pair_work(model, tokens, past=past), tokens, times)
    return {
        "n": n,
        "pass": name,
        "q": ask.q if name == Pass.DECODE else None,
        "groups": groups,
        "total": total,
        "per_token": {key: _share(value, tokens) for key, value in total.items()},
    }


def _row(work: TokenWork, between: PairWork, tokens: int, times: int) -> dict[str, int]:
    """The figures of one row of `tokens` tokens."""
    linear = tokens * times
    return {
        "proj_flops": work.proj * linear,
        "conv_flops": work.conv * linear,
        "core_flops_useful": between.useful * times,
        "core_flops_executed": between.eager * times,
        "core_flops_absorbed": between.absorbed * times,
        "index_flops": between.index * times,
        "index_flops_executed": between.index_eager * times,
        "recurrence_flops": work.recurrence * linear,
        "ffn_flops_active": work.ffn_active * linear,
        "ffn_flops_executed": work.ffn_executed * linear,
        "router_flops": work.router * linear,
        "other_flops": work.extra * linear,
        "head_flops": work.head * linear,
        "flops_active": work.active * linear + (between.useful + between.index) * times,
    }


def _executed(layer: ModelLayer, tokens: int, times: int, *, decoding: bool) -> int | None:
    """What a module executes of its recurrences: in chunks, but for decoding; None where that is not derived."""
    found = [mixer.flops * tokens if decoding else chunked_flops(mixer, tokens) for mixer in layer.recurrences]
    known = [flops for flops in found if flops is not None]
    return times * sum(known) if len(known) == len(found) else None


def _share(value: int, tokens: int) -> int | float:
    return value // tokens if value % tokens == 0 else value / tokens


def caches_at(model: Architecture, ask: CacheAsk, *, q: int) -> dict[str, object]:
    """What is kept after n tokens, exactly, by group and in total, and as engines allocate it."""
    late = growth_bytes(model, ask)
    held = kv_bytes(model, ask) + state_bytes(model, ask)
    return {
        "n": ask.n,
        "sequences": ask.sequences,
        "kv_dtype": ask.kv,
        "dtype": ask.dtype,
        "tp": ask.tp,
        "groups": [
            {
                "kind": group.layer.title,
                "count": group.count,
                "kv_bytes_per_token": float(group.count * _late(group.layer, ask)),
                "kv_bytes": group.count * layer_kv_bytes(group.layer, ask),
                "state_bytes": group.count * layer_state_bytes(group.layer, ask),
            }
            for group in model.groups
        ],
        "total": {
            "kv_bytes_per_token": late.numerator if late.denominator == 1 else float(late),
            "kv_bytes": kv_bytes(model, ask),
            "state_bytes": state_bytes(model, ask),
            "bytes": ask.sequences * held,
            "read_bytes": read_bytes(model, ask, drafts=q),
        },
        "engines": {answer.name: engine_json(answer) for answer in engine_answers(model, ask)},
    }


def _late(layer: ModelLayer, ask: CacheAsk) -> Fraction:
    elements = sum((growth_elements(mixer, ask.tp) for mixer in layer.softmaxes), Fraction(0))
    return elements * PRECISIONS[ask.kv] / 8


def engine_json(answer: EngineAnswer) -> dict[str, object]:
    """An engine's answer as plain data."""
    return {
        "bytes": answer.bytes,
        "block": answer.assumptions.get("block"),
        "groups": [
            {"kind": r.kind, "layers": r.layers, "padding": r.padding, "tokens": r.tokens, "bytes": r.bytes}
            for r in answer.rows
        ],
        "assumptions": dict(answer.assumptions),
        "defaults": dict(answer.defaults),
        "source": answer.source,
        "why": answer.why or None,
    }
