"""What a step of decoding keeps, adds and reads, in bytes worked out by hand."""

from __future__ import annotations

import pytest

from attnprof.counting import count
from attnprof.counting.decode_step import refuse_decoding, stated_state
from attnprof.errors import Unsupported
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.words import Level, Pass

# b = 3, h = 4, g = 2 KV heads, d = 5, float32: a token's key and value take 3 * 2 * 2 * 5 * 4 = 240 bytes.
TOKEN = 240


def shape(n: int, **sizes: object) -> Shape:
    return Shape(n, **{"batch": 3, "dim": 20, "heads": 4, "kv_heads": 2, "causal": True, **sizes})  # type: ignore[arg-type]


def step(name: str, n: int, **params: int) -> tuple[int | None, int | None, int | None]:
    cost = count(door.find(name, params=params), shape(n), Pass.DECODE).cost
    return cost.state_bytes, cost.state_growth_bytes, cost.decode_read_bytes


def test_a_cache_grows_by_a_token_and_is_read_whole() -> None:
    assert step("dense", 7) == (7 * TOKEN, TOKEN, 7 * TOKEN)
    assert step("flash", 9) == (9 * TOKEN, TOKEN, 9 * TOKEN)


def test_a_ring_grows_until_it_is_full() -> None:
    assert step("sliding_window", 3, window=4) == (3 * TOKEN, TOKEN, 3 * TOKEN)
    state, growth, read = step("sliding_window", 9, window=4)
    assert (state, growth) == (4 * TOKEN, 0)
    assert read is not None
    assert read <= 4 * TOKEN


def test_a_sum_over_the_past_has_one_size() -> None:
    """Linear attention, [5, 6] numbers a KV head: 3 * 2 * 30 * 4 bytes."""
    for n in (1, 50):
        assert step("linear", n) == (720, 0, 720)


def test_other_passes_tell_the_state_too() -> None:
    cost = count(door.find("dense"), shape(7), Pass.FORWARD).cost
    assert (cost.state_bytes, cost.state_growth_bytes, cost.decode_read_bytes) == (7 * TOKEN, TOKEN, None)


def test_a_pattern_file_states_what_its_maths_will_keep() -> None:
    """Multi-head latent attention, a latent of 512 and 64 of position a token, in bfloat16, of three sequences."""
    target = door.find("mla", params={"kv_latent": 512, "rope_dim": 64})
    cost = stated_state(target, shape(7, kv_heads=None, dtype="bfloat16"))
    assert cost is not None
    assert (cost.state_bytes, cost.state_growth_bytes) == (3 * 2 * 7 * 576, 3 * 2 * 576)
    stated = stated_state(door.find("dense"), shape(7))
    assert stated is not None
    assert (stated.state_bytes, stated.state_growth_bytes) == (7 * TOKEN, TOKEN)
    assert stated_state(door.find("bigbird"), shape(64)) is None
    assert stated_state(door.find("deltanet"), shape(7, kv_heads=2)) is None


def test_one_token_more_is_of_one_sequence_and_one_layer() -> None:
    target = door.find("dense")
    with pytest.raises(Unsupported, match="no second length"):
        refuse_decoding(target, shape(7, m=9))
    with pytest.raises(Unsupported, match="blocks has no decoding step"):
        refuse_decoding(target, shape(7, level=Level.BLOCK))
    refuse_decoding(target, shape(7, level=Level.ATTENTION))
