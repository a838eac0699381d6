"""Exact figures of whole models, to the unit: the table of the published survey, re-derived there on fake tensors."""

from __future__ import annotations

from typing import Any

import pytest

from attnprof.models.caches import CacheAsk, growth_bytes, kv_bytes, read_bytes, state_bytes
from attnprof.models.lookup import model_named
from attnprof.models.work import crossover, model_pair_work, model_token_work
from attnprof.plan.memory_limits import limit_of, weights_bytes

NEMOTRON = ",".join(f'"{word}"' for word in ([*["linear_attention", "mlp"] * 3, "full_attention", "mlp"] * 3))
MODELS = {
    "gpt_oss": "hf:gpt_oss:num_hidden_layers=24,num_local_experts=32",
    "gemma3": "hf:gemma3_text:hidden_size=5376,num_hidden_layers=62,num_attention_heads=32,num_key_value_heads=16,"
    "head_dim=128,intermediate_size=21504,sliding_window=1024",
    "llama4": "hf:llama4_text",
    "qwen3_next": "hf:qwen3_next",
    "minimax": "hf:minimax",
    "deepseek_v3": "hf:deepseek_v3",
    "deepseek_v32": "hf:deepseek_v32",
    "nemotron_h": f"hf:nemotron_h:layers_block_type=[{NEMOTRON}]",
}
# proj, conv, FFN active, router, head: FLOPs of one token of a forward; and the recurrence's.
TOKEN = {
    "gpt_oss": (1_274_019_840, 0, 4_777_574_400, 4_423_680, 1_158_266_880, 0),
    "gemma3": (8_191_475_712, 0, 43_005_247_488, 0, 2_819_260_416, 0),
    "llama4": (6_039_797_760, 0, 24_159_191_040, 7_864_320, 2_068_971_520, 0),
    "qwen3_next": (3_079_667_712, 2_359_296, 3_321_888_768, 100_859_904, 622_329_856, 113_246_208),
    "minimax": (4_026_531_840, 0, 22_548_578_304, 2_097_152, 262_144_000, 33_554_432),
    "deepseek_v3": (22_826_844_160, 0, 48_356_130_816, 212_860_928, 1_853_358_080, 0),
    "deepseek_v32": (24_529_862_656, 0, 48_356_130_816, 212_860_928, 1_853_358_080, 0),
    "nemotron_h": (2_224_029_696, 737_280, 4_227_858_432, 0, 1_073_741_824, 37_748_736),
}
# The core of a forward of 8,192 and of 131,072 tokens.
CORE = {
    "gpt_oss": (6_802_435_473_408, 1_692_159_682_019_328),
    "gemma3": (12_198_814_416_896, 1_521_288_589_869_056),
    "llama4": (32_989_375_365_120, 2_506_950_935_838_720),
    "qwen3_next": (6_597_875_073_024, 1_688_862_745_165_824),
    "minimax": (8_797_166_764_032, 2_251_816_993_554_432),
    "deepseek_v3": (167_695_991_439_360, 42_925_261_439_631_360),
    "deepseek_v32": (73_363_158_466_560, 1_330_929_582_735_360),
    "nemotron_h": (1_649_468_768_256, 422_215_686_291_456),
}
# Keys and values after 8,192 and 131,072 tokens, bytes a token late, states with K − 1 columns and with K.
KEPT = {
    "gpt_oss": (204_447_744, 3_224_346_624, 24_576, 0, 0),
    "gemma3": (1_106_870_272, 11_173_199_872, 81_920, 0, 0),
    "llama4": (1_610_465_280, 7_650_263_040, 49_152, 0, 0),
    "qwen3_next": (201_326_592, 3_221_225_472, 24_576, 77_266_944, 77_856_768),
    "minimax": (536_870_912, 8_589_934_592, 65_536, 16_777_216, 16_777_216),
    "deepseek_v3": (575_668_224, 9_210_691_584, 70_272, 0, 0),
    "deepseek_v32": (703_594_496, 11_257_511_936, 85_888, 0, 0),
    "nemotron_h": (100_663_296, 1_610_612_736, 12_288, 38_301_696, 38_486_016),
}
LENGTHS = (8192, 131072)


def architecture(name: str) -> Any:
    return model_named(MODELS[name]).architecture


@pytest.mark.parametrize("name", MODELS)
def test_flops_of_a_token_are_the_published_ones(name: str) -> None:
    work = model_token_work(architecture(name))
    found = (work.proj, work.conv, work.ffn_active, work.router, work.head, work.recurrence)
    assert found == TOKEN[name]


@pytest.mark.parametrize("name", MODELS)
def test_the_core_of_a_sequence_is_the_published_one(name: str) -> None:
    assert tuple(model_pair_work(architecture(name), n).useful for n in LENGTHS) == CORE[name]


def test_the_indexer_of_deepseek_v32_scores_as_published() -> None:
    scored = [model_pair_work(architecture("deepseek_v32"), n).index for n in LENGTHS]
    assert scored == [33_801_223_274_496, 8_652_123_008_925_696]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_kept_is_the_published_number_of_bytes(name: str) -> None:
    model = architecture(name)
    short, long = (CacheAsk(n=n) for n in LENGTHS)
    late = growth_bytes(model, short)
    found = (
        kv_bytes(model, short),
        kv_bytes(model, long),
        late,
        state_bytes(model, short),
        state_bytes(model, short, more_columns=1 if name != "minimax" else 0),
    )
    assert found == KEPT[name]


def test_a_decoding_step_of_gpt_oss_computes_and_reads_as_published() -> None:
    model = architecture("gpt_oss")
    assert [model_pair_work(model, 1, past=n).useful for n in LENGTHS] == [1_635_975_168, 25_795_166_208]
    assert [read_bytes(model, CacheAsk(n=n)) for n in LENGTHS] == [204_496_896, 3_224_395_776]


def test_drafts_are_verified_against_what_they_see() -> None:
    """Full layers q·n + q(q + 1)/2 pairs, windows q·w, for n ≥ w."""
    n, q = 4096, 5
    found = model_pair_work(architecture("gpt_oss"), q, past=n).useful
    pair = 2 * 64 * (64 + 64)
    assert found == 12 * pair * (q * n + q * (q + 1) // 2) + 12 * pair * q * 128


def test_llama4_runs_experts_that_no_token_chose() -> None:
    work = model_token_work(architecture("llama4"))
    assert work.ffn_executed == 205_353_123_840
    assert 2 * work.ffn_executed == 17 * work.ffn_active


def test_the_latent_form_costs_what_it_costs() -> None:
    work = model_pair_work(architecture("deepseek_v3"), 1, past=8191)
    assert work.absorbed * 320 == work.useful * 1088


@pytest.mark.parametrize(("name", "params"), [("deepseek_v3", 671_026_404_352), ("gpt_oss", 20_914_757_184)])
def test_parameters_are_the_modules_own(name: str, params: int) -> None:
    assert architecture(name).params == params


def test_what_fits_into_80_gib() -> None:
    model = architecture("gpt_oss")
    assert weights_bytes(model, "bfloat16") == 41_829_514_368
    limit = limit_of(model, 80 * 2**30, LENGTHS, ask=CacheAsk(n=1), weights_dtype="bfloat16")
    assert limit.free_bytes == 44_069_831_552
    assert limit.decode_n == 1_793_079
    assert limit.sequences == {8192: 215, 131072: 13}


@pytest.mark.parametrize(("name", "n"), [("gpt_oss", 48_389), ("gemma3", 514_327)])
def test_attention_passes_the_ffn_where_it_does(name: str, n: int) -> None:
    model = architecture(name)
    assert crossover(model) == n
    work = model_token_work(model)
    between = model_pair_work(model, n - 1).useful
    assert between < (n - 1) * (work.ffn_active + work.router)
