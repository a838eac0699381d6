"""Useful work of small shapes, pair by pair: which pairs there are is counted here from the rule in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnprof.contracts import Target
from attnprof.counting import useful
from attnprof.counting.useful import useful_flops
from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.units import Value
from attnprof.words import Level, Pass
from tests.unit.counting.modules import ModuleTarget

# b = 3, d = 5: a pair is 2 (5 + 5) = 20 FLOPs, of three sequences 60.
SIZES = {"batch": 3, "dim": 20, "heads": 4}
A_PAIR = 60


def flops(target: Target, n: int, pass_: Pass = Pass.FORWARD, **sizes: object) -> int | None:
    return useful_flops(target, Shape(n, **{**SIZES, **sizes}), pass_)[0]  # type: ignore[arg-type]


def found(name: str, **params: Value) -> Target:
    return door.find(name, params=params)


def test_a_pair_is_two_products_in_every_head() -> None:
    assert flops(found("dense"), 7) == A_PAIR * 4 * 49
    assert flops(found("dense"), 7, causal=True) == A_PAIR * 4 * 28
    assert flops(found("dense"), 7, Pass.TRAIN) == 3 * A_PAIR * 4 * 49
    assert flops(found("sliding_window", window=4), 7, causal=True) == A_PAIR * 4 * (1 + 2 + 3 + 4 * 4)


def test_blocks_repeat_their_attention() -> None:
    assert flops(found("dense"), 7, level=Level.BLOCK, depth=2) == 2 * A_PAIR * 4 * 49
    assert flops(found("dense"), 7, level=Level.ATTENTION, depth=1) == A_PAIR * 4 * 49


def test_a_step_reads_the_keys_of_the_query_that_comes_next() -> None:
    """Eight keys after seven tokens, its own among them; no more than four of a window."""
    assert flops(found("dense"), 7, Pass.DECODE, causal=True) == A_PAIR * 4 * 8
    assert flops(found("sliding_window", window=4), 7, Pass.DECODE, causal=True) == A_PAIR * 4 * 4
    assert flops(found("sliding_window", window=4), 2, Pass.DECODE, causal=True) == A_PAIR * 4 * 3


@pytest.mark.parametrize(("n", "m", "causal", "pairs"), [
    (3, 5, False, 15),
    (3, 5, True, 3 + 4 + 5),  # the last query reads the last key
    (5, 3, True, 0 + 0 + 1 + 2 + 3),
    (1, 4, True, 4),
])  # fmt: skip
def test_a_rectangle_is_counted_row_by_row(n: int, m: int, causal: bool, pairs: int) -> None:
    assert useful.rectangle(Shape(n, m=m, causal=causal, **SIZES)) == pairs  # type: ignore[arg-type]
    assert flops(found("dense"), n, m=m, causal=causal) == A_PAIR * 4 * pairs


def test_heads_that_differ_are_counted_as_often_as_there_are_of_them() -> None:
    """Strided, step by head, l = 4 and n = 8: even heads read a window of 5, odd ones every fourth key.

    Windows: 1 + 2 + 3 + 4 + 5 * 4 = 30; strides: 1 key for the first four tokens, 2 for the others, 12. Of three heads
    two are even.
    """
    target = found("sparse_strided", stride=4, combine="heads")
    assert flops(target, 8, causal=True, dim=15, heads=3) == A_PAIR * (2 * 30 + 12)
    assert flops(target, 8, causal=True, dim=5, heads=1) == A_PAIR * 30


def test_layers_that_differ_are_added() -> None:
    target = found("sparse_strided", stride=4, combine="alternate")
    assert flops(target, 8, causal=True) == A_PAIR * 4 * (30 + 12)


def test_a_key_that_two_parts_of_a_softmax_name_counts_once() -> None:
    """A row and a column of a square of 16, the token itself in both: 7 keys in one layer, 4 in each of two."""
    assert flops(found("axial", stride=4, combine="merge"), 16) == A_PAIR * 4 * 16 * 7
    assert flops(found("axial", stride=4, combine="alternate"), 16) == A_PAIR * 4 * 16 * (4 + 4)


TWICE = """
from attnprof.pattern import Band, Dense

def pattern(n):
    return Dense() + Band(0)

def edges(n):
    return n * n
"""


def test_a_key_that_two_softmaxes_read_counts_twice(tmp_path: Path) -> None:
    """Whatever is stated of distinct edges."""
    own = tmp_path / "twice.py"
    own.write_text(TWICE)
    assert flops(door.find(str(own)), 7) == A_PAIR * 4 * (49 + 7)
    assert flops(door.find(str(own)), 7, Pass.DECODE) == A_PAIR * 4 * (8 + 1)


def test_an_encoder_and_a_decoder_over_two_lengths_add_up() -> None:
    """Five tokens of a source, three of a target, causal: 25 pairs, 6, and between them 15, in each of four heads."""
    target = found("dense")
    sizes = {"m": 5, "causal": True, "level": Level.BLOCK, "depth": 2}
    assert flops(target, 3, **sizes) == 2 * A_PAIR * 4 * (25 + 6 + 15)
    assert flops(target, 3, Pass.TRAIN, **sizes) == 3 * 2 * A_PAIR * 4 * (25 + 6 + 15)


def test_what_is_read_across_is_so_in_every_layer_and_as_wide_as_heads_are() -> None:
    """Rows and columns of axial are two layers: 3 x 5 pairs in each, 2 * (6 + 6) FLOPs a pair in a head of width 6."""
    target = found("axial")
    assert target.layers == 2
    wide = Shape(3, dim=4, heads=1, m=5, causal=False, level=Level.BLOCK, head_dim=6)
    across = Shape(3, dim=4, heads=1, m=5, causal=False, level=Level.BLOCK)
    for shape, width in ((wide, 6), (across, 4)):
        source, within = (useful_flops(target, shape.replace(n=n, m=None), Pass.FORWARD)[0] for n in (5, 3))
        assert source is not None
        assert within is not None
        both = source + within + 2 * 2 * width * 15 * target.layers
        assert useful_flops(target, shape, Pass.FORWARD)[0] == both


def test_position_scores_are_a_product_as_wide_as_a_key_more() -> None:
    """Transformer-XL, no memory, one segment of 4: ten pairs with scores of content and of position, 2 * 3 * 5 each."""
    target = found("transformer_xl", segment=4, memory=0)
    assert flops(target, 4, causal=True) == 3 * 4 * 30 * 10


def test_what_has_no_edges_says_what_it_has() -> None:
    for pass_ in (Pass.FORWARD, Pass.TRAIN, Pass.DECODE):
        shape = Shape(64, causal=True, **SIZES)  # type: ignore[arg-type]
        assert useful_flops(found("linear"), shape, pass_) == (None, useful.IN_STATE)
    pattern = found("perceiver").graph(Shape(64, **SIZES))  # type: ignore[attr-defined, arg-type]
    assert useful.without_edges(pattern) == useful.IN_SLOTS


def test_slots_that_a_file_counts_are_keys_as_others() -> None:
    """Compressive, segments and memory of 2, one slot of two tokens: 3 pairs, then 2 * 2 + 3, then 2 * (2 + 1) + 3.

    Each has a score of content and one of position, and a value. The token after is the first of a segment: it reads
    itself, the memory and the slot. Of slots that no file counts there are none.
    """
    target = found("compressive", segment=2, memory=2, compressed=1, rate=2)
    assert flops(target, 6, causal=True) == 3 * 4 * 30 * (3 + 7 + 9)
    assert flops(target, 6, Pass.DECODE, causal=True) == 3 * 4 * 30 * (1 + 2 + 1)
    assert useful_flops(found("linformer"), Shape(64), Pass.FORWARD) == (None, useful.IN_SLOTS)


def test_a_module_states_no_pattern() -> None:
    import torch
    from torch import nn

    target = ModuleTarget(lambda: nn.Linear(4, 4), lambda: (torch.randn(1, 3, 4),))
    found = useful_flops(target, Shape(3, dim=4, heads=1), Pass.FORWARD)  # type: ignore[arg-type]
    assert found == (None, useful.OF_MODULE)
