"""Laws over every family: sums over groups, pairs by brute force, caches that grow as they say."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from attnprof.models.architecture import Compression, IndexerSizes, SoftmaxMixer
from attnprof.models.caches import CacheAsk, growth_bytes, kv_bytes, read_bytes, state_bytes
from attnprof.models.lookup import class_facts, model_named, public_models
from attnprof.models.readers import READERS
from attnprof.models.work import model_pair_work, model_token_work, pair_work, pairs, token_work
from attnprof.plan.serving import engine_answers

NEEDS = {
    "deepseek_v2": ":num_experts_per_tok=6",
    "hunyuan_v1_moe": ":num_local_experts=4,moe_topk=2",
    "dots1": ":n_routed_experts=128,num_experts_per_tok=6,n_shared_experts=2",
}
FAMILIES = [f"hf:{name}{NEEDS.get(name, '')}" for name in READERS]
DECODERS = [text for text in FAMILIES if model_named(text).architecture.decodes]
SHIPPED = [f"hf:{name}" for name in public_models()]


def read(mixer: SoftmaxMixer, query: int, n: int) -> int:
    """Keys and entries that query i (from 0) of n tokens reads, by the words of the papers."""
    if not mixer.causal:
        return len([key for key in range(n) if mixer.window is None or abs(query - key) < mixer.window])
    if mixer.compression is not None:
        assert mixer.window is not None
        pooled = sum(1 for end in range(query + 1) if (end + 1) % mixer.compression.rate == 0)
        return len(range(max(0, query - mixer.window + 1), query + 1)) + (
            min(pooled, mixer.indexer.top) if mixer.indexer else pooled
        )
    keys = range(query + 1)
    if mixer.indexer is not None:
        return min(len(keys), mixer.indexer.top)
    if mixer.window is not None:
        return len([key for key in keys if query - key < mixer.window])
    if mixer.chunk is not None:
        return len([key for key in keys if key // mixer.chunk == query // mixer.chunk])
    return len(keys)


def mixer(**sizes: Any) -> SoftmaxMixer:
    return SoftmaxMixer(heads=2, kv_heads=1, head_dim=4, v_head_dim=4, weights=0, kv_width=8, **sizes)


MIXERS = {
    "full": mixer(),
    "window": mixer(window=5),
    "chunk": mixer(chunk=6),
    "both ways": mixer(causal=False),
    "window both ways": mixer(window=5, causal=False),
    "chosen": mixer(indexer=IndexerSizes(1, 4, 7)),
    "pooled": mixer(window=5, compression=Compression(3)),
    "pooled and chosen": mixer(window=5, compression=Compression(3), indexer=IndexerSizes(1, 4, 4)),
}


@pytest.mark.parametrize("name", MIXERS)
def test_pairs_are_those_of_brute_force(name: str) -> None:
    for n in range(1, 40):
        assert pairs(MIXERS[name], n) == sum(read(MIXERS[name], query, n) for query in range(n)), n


@pytest.mark.parametrize("text", FAMILIES + SHIPPED)
def test_a_model_is_the_sum_of_its_layers(text: str) -> None:
    model = model_named(text).architecture
    work, between = model_token_work(model), model_pair_work(model, 300)
    layers = [token_work(layer) for layer in model]
    assert work.proj == sum(layer.proj for layer in layers)
    assert work.ffn_active == sum(layer.ffn_active for layer in layers)
    assert between.useful == sum(pair_work(layer, 300).useful for layer in model)
    assert sum(group.count for group in model.groups) == len(model.layers)
    assert 0 < model.active_params <= model.params


@pytest.mark.parametrize("text", DECODERS)
def test_a_step_is_what_one_more_token_adds(text: str) -> None:
    model = model_named(text).architecture
    whole = model_pair_work(model, 21)
    steps = [model_pair_work(model, 1, past=n) for n in range(21)]
    assert whole.useful == sum(step.useful for step in steps)
    assert whole.index == sum(step.index for step in steps)
    assert whole.useful <= whole.eager or "deepseek_v4" in text


@pytest.mark.parametrize("text", DECODERS)
def test_a_cache_grows_late_as_it_says(text: str) -> None:
    model = model_named(text).architecture
    late, span = 1 << 17, 1 << 10
    ask = CacheAsk(n=late)
    grown = kv_bytes(model, CacheAsk(n=late + span)) - kv_bytes(model, ask)
    assert grown == span * growth_bytes(model, ask)
    half = CacheAsk(n=late, kv="fp8")
    assert 2 * kv_bytes(model, half) == kv_bytes(model, ask)
    assert growth_bytes(model, half) == growth_bytes(model, ask) / Fraction(2)
    assert state_bytes(model, half) == state_bytes(model, ask)
    assert read_bytes(model, ask) > 0 or not any(layer.softmaxes for layer in model)


@pytest.mark.parametrize("text", FAMILIES)
def test_no_engine_holds_less_than_is_needed_but_by_a_setting(text: str) -> None:
    """SGLang's pool of windows follows a ratio, vLLM keeps indexers' keys in fp8: nothing else is below the exact."""
    model = model_named(text).architecture
    ask = CacheAsk(n=4096, sequences=3)
    exact = 3 * (kv_bytes(model, ask) + state_bytes(model, ask))
    for answer in engine_answers(model, ask):
        assert (answer.bytes is None) == bool(answer.why)
        indexed = any(mixer.indexer for layer in model for mixer in layer.softmaxes)
        if answer.bytes is not None and answer.name != "sglang" and not (indexed and answer.name == "vllm"):
            assert answer.bytes >= exact, answer.name
        assert answer.bytes is None or answer.bytes == sum(row.bytes for row in answer.rows)


def within(stated: int | str) -> tuple[int, int]:
    """A total as it is published, and by how much it may be rounded: a unit of its last digit that says something.

    Zeros before the point say nothing: 230B is 230 · 10⁹ ± 10 · 10⁹.
    """
    if isinstance(stated, int):
        return stated, 0
    digits, scale = Decimal(stated[:-1]), {"B": 10**9, "T": 10**12}[stated[-1]]
    unit = Decimal(1).scaleb(
        digits.normalize().as_tuple().exponent if "." not in stated else digits.as_tuple().exponent
    )
    return int(digits * scale), int(unit * scale)


@pytest.mark.parametrize("name", public_models())
def test_a_public_model_has_as_many_parameters_as_its_publisher_says(name: str) -> None:
    """Or no total is claimed, with the reason; each total has its source."""
    published = public_models()[name]["published"]
    if published["params"] is None:
        assert published["why"]
        return
    assert published["source"].startswith(("github.com/", "huggingface.co/"))
    given = ",".join(f"{key}={value}" for key, value in published.get("with", {}).items())
    figure, unit = within(published["params"])
    assert abs(model_named(f"hf:{name}{given and ':'}{given}").architecture.params - figure) <= unit


def test_every_reader_has_its_facts() -> None:
    assert set(class_facts()) == set(READERS)
    assert {facts["model_type"] for facts in public_models().values()} <= set(READERS)
