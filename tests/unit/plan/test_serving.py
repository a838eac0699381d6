"""What engines allocate: figures of vLLM's own start-up logs, and the rules in the other engines' words."""

from __future__ import annotations

import re

from attnprof.models.architecture import Architecture
from attnprof.models.caches import CacheAsk
from attnprof.models.lookup import model_named
from attnprof.plan.serving import (
    engine_answers,
    llamacpp_cells,
    sglang_pools,
    tensorrt_shares,
    transformers_cache,
    vllm_blocks,
)
from attnprof.plan.serving.allocation import EngineAnswer
from attnprof.plan.serving.vllm_blocks import VllmPolicy, group_size

# Of an engine's assumptions those that are asked for, or follow from what is.
ASKED = {"n_max", "n_ctx", "page_bytes", "drafts"}


def test_every_default_says_in_which_file_it_stands() -> None:
    for text in ("hf:gpt_oss_20b", "hf:qwen3_next", "hf:deepseek_v3"):
        for answer in engine_answers(named(text), CacheAsk(n=4096)):
            assert set(answer.defaults) == set(answer.assumptions) - ASKED, answer.name
            assert all(re.search(r"\w+\.(py|cpp|md)\b", stands) for stands in answer.defaults.values())
            assert re.search(r"\.(py|cpp) ", answer.source), answer.source


def named(text: str) -> Architecture:
    return model_named(text).architecture


def block_and_padding(text: str) -> tuple[int, float]:
    """Tokens of a block, and by how much a page is larger than the state that it holds."""
    model = named(text)
    answer = vllm_blocks.allocated(model, CacheAsk(n=4096))
    states = {row.kind: row for row in answer.rows if row.tokens is None}
    (kind,) = states
    (mixer,) = {m for layer in model for m in layer.recurrences if m.kind == kind}
    held = mixer.state_elements * 4 + (mixer.conv_kernel - 1) * mixer.conv_channels * 2
    return int(answer.assumptions["block"]), int(answer.assumptions["page_bytes"]) / held - 1


def test_vllm_starts_qwen3_5_of_0_8b_with_blocks_of_544() -> None:
    block, padding = block_and_padding(
        "hf:qwen3_5_text:num_attention_heads=8,num_key_value_heads=2,linear_num_value_heads=16,hidden_size=1024"
    )
    assert (block, round(100 * padding, 2)) == (544, 2.64)


def test_vllm_starts_qwen3_5_of_27b_with_blocks_of_784() -> None:
    block, padding = block_and_padding(
        "hf:qwen3_5_text:num_attention_heads=24,linear_num_value_heads=48,hidden_size=5120,num_hidden_layers=64"
    )
    assert (block, round(100 * padding, 2)) == (784, 0.13)


def test_vllm_starts_lfm2_with_its_padding_of_300_percent_and_two_padding_layers_of_ten() -> None:
    block, padding = block_and_padding("hf:lfm2_1_2b")
    assert (block, padding) == (16, 3.0)
    rows = {row.kind: row for row in vllm_blocks.allocated(named("hf:lfm2_1_2b"), CacheAsk(n=64)).rows}
    assert (rows["short_conv"].layers, rows["short_conv"].padding) == (10, 2)
    assert (rows["full"].layers, rows["full"].padding) == (6, 0)


def test_vllm_groups_layers_by_the_least_bucket_or_nearly() -> None:
    assert [group_size(counts) for counts in ([12, 13], [52, 10], [12, 12], [6, 10], [24, 8])] == [13, 10, 12, 6, 8]


def test_vllm_reserves_a_window_by_the_prefill_chunk() -> None:
    rows = {row.kind: row for row in vllm_blocks.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=65536)).rows}
    assert rows["window 128"].tokens == 521 * 16
    small = vllm_blocks.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=65536), VllmPolicy(batched_tokens=512))
    assert {row.kind: row.tokens for row in small.rows}["window 128"] == 16 * (40 + 1)


def total(answer: EngineAnswer) -> int:
    assert answer.bytes is not None
    return answer.bytes


def test_llamacpp_has_768_cells_for_a_window_of_128() -> None:
    rows = {row.kind: row for row in llamacpp_cells.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=8192)).rows}
    assert (rows["window 128"].tokens, rows["full"].tokens) == (768, 8192)


def test_sglang_gives_windows_a_ratio_of_the_full_pool() -> None:
    rows = {row.kind: row for row in sglang_pools.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=10_000)).rows}
    assert (rows["full"].tokens, rows["window"].tokens) == (10_000, 8_000)


def test_sglang_keeps_scales_beside_indexers_keys() -> None:
    answer = sglang_pools.allocated(named("hf:deepseek_v32"), CacheAsk(n=1))
    assert total(answer) == 61 * (576 * 2 + 128 + 4)


def test_tensorrt_gives_every_window_size_as_much_as_the_neediest() -> None:
    answer = tensorrt_shares.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=8192))
    assert [row.bytes for row in answer.rows] == [201_326_592, 201_326_592]


def test_transformers_holds_what_its_tensors_do() -> None:
    assert total(transformers_cache.allocated(named("hf:gpt_oss_20b"), CacheAsk(n=8192))) == 204_447_744
    assert total(transformers_cache.allocated(named("hf:qwen3_next"), CacheAsk(n=8192))) == 201_326_592 + 77_856_768


def test_heads_are_dealt_to_devices_and_repeated() -> None:
    model = named("hf:gpt_oss_20b")
    whole, half, sixteenth = (total(transformers_cache.allocated(model, CacheAsk(n=512, tp=tp))) for tp in (1, 2, 16))
    assert (whole, whole) == (2 * half, 8 * sixteenth)
