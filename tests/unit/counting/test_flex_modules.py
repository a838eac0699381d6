"""FlexAttention in a user's module: its tiles, forward and backward, counted on a machine that has no kernel for it.

By hand: a tile that holds an edge is computed whole; a pair costs 2 (d_k + d_v) forward, and backward, which computes
its score again and four products more, 2 (3 d_k + 2 d_v).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flex
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from attnprof.counting import Counted, count
from attnprof.counting.flex_masks import NoValues, captures_fake, counted_flex, live_tiles
from attnprof.errors import TooLarge, Unsupported
from attnprof.shapes import Shape
from attnprof.targets.objects import ModuleTarget
from attnprof.targets.usage import Usage

DIM, HEADS, D = 64, 4, 16
N, TILE = 512, 128
DOCUMENTS = 4 * TILE * TILE  # pairs: four documents of one tile each, causal or not
TRIANGLE = 10 * TILE * TILE  # 4 + 3 + 2 + 1 tiles of the causal mask
compiled = torch.compile(flex_attention)


def document_mask(length: int) -> Callable[..., Any]:
    """Four documents, causal within each, of sizes alone."""
    size = length // 4
    return lambda b, h, i, j: (i // size == j // size) & (i >= j)


class Base(nn.Module):
    """Attention of four heads, by `mix(q, k, v)`."""

    def __init__(self, length: int = N) -> None:
        super().__init__()
        self.length = length
        self.qkv = nn.Linear(DIM, 3 * DIM, bias=False)

    def forward(self, x: Tensor) -> Any:
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, HEADS, D).permute(2, 0, 3, 1, 4)
        return self.mix(q, k, v).transpose(1, 2).reshape(b, n, DIM)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        raise NotImplementedError


class InConstructor(Base):
    def __init__(self, length: int = N) -> None:
        super().__init__(length)
        self.mask = create_block_mask(document_mask(length), None, None, length, length, "cpu")

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k, v, block_mask=self.mask)


class InForward(Base):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        n = q.shape[2]
        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, n, n, "cpu")
        return flex_attention(q, k, v, block_mask=mask)


class Unmasked(Base):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k, v)


class Scored(Base):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s + (j - i) * 0.1)


class Compiled(InConstructor):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return compiled(q, k, v, block_mask=self.mask)


class WithSums(InConstructor):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        mixed, sums = flex_attention(q, k, v, block_mask=self.mask, return_lse=True)
        return mixed + sums[..., None] * 0


class Grouped(InConstructor):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k[:, :2], v[:, :2], block_mask=self.mask, enable_gqa=True)


class Large(Base):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        n = q.shape[2]
        mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, n, n, "cpu", BLOCK_SIZE=(256, 64))
        return flex_attention(q, k, v, block_mask=mask)


class ByHead(Base):
    """Two heads causal, two of documents: 10 and 4 tiles."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        n = q.shape[2]

        def mask_mod(b: Any, h: Any, i: Any, j: Any) -> Any:
            return (i >= j) & ((h < 2) | (i // (n // 4) == j // (n // 4)))

        return flex_attention(q, k, v, block_mask=create_block_mask(mask_mod, None, HEADS, n, n, "cpu"))


class CapturedTensor(Base):
    """Document ids that the constructor computes, in the mask's closure."""

    def __init__(self, length: int = N) -> None:
        super().__init__(length)
        ids = torch.arange(length) // (length // 4)
        self.mask = create_block_mask(
            lambda b, h, i, j: (ids[i] == ids[j]) & (i >= j), None, None, length, length, "cpu"
        )

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k, v, block_mask=self.mask)


class Buffered(Base):
    """Document ids in a buffer, read by a mask that forward makes."""

    ids: Tensor

    def __init__(self, length: int = N) -> None:
        super().__init__(length)
        self.register_buffer("ids", torch.arange(length) // (length // 4))

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        n = q.shape[2]
        mask = create_block_mask(lambda b, h, i, j: self.ids[i] == self.ids[j], None, None, n, n, "cpu")
        return flex_attention(q, k, v, block_mask=mask)


class FromInput(Base):
    """Documents that the data decide."""

    def forward(self, x: Tensor) -> Any:
        self.ids = (x[0, :, 0] > 0).cumsum(0)
        return super().forward(x)

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        ids, n = self.ids, q.shape[2]
        return flex_attention(
            q, k, v, block_mask=create_block_mask(lambda b, h, i, j: ids[i] == ids[j], None, None, n, n, "cpu")
        )


class Assembled(Base):
    """A mask put together from counts and indices, which have no values while they are counted."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        n = q.shape[2]
        tiles = -(-n // TILE)
        counts, indices = torch.ones(1, 1, tiles, dtype=torch.int32), torch.zeros(1, 1, tiles, tiles, dtype=torch.int32)
        mask = BlockMask.from_kv_blocks(counts, indices, mask_mod=lambda b, h, i, j: i >= j, seq_lengths=(n, n))
        return flex_attention(q, k, v, block_mask=mask)


PAIRS = {
    InConstructor: DOCUMENTS,
    InForward: TRIANGLE,
    Unmasked: N * N,
    Scored: N * N,
    Compiled: DOCUMENTS,
    WithSums: DOCUMENTS,
    Grouped: DOCUMENTS,
    Large: (4 + 8) * 256 * 64,  # rows 0 to 255 reach 4 tiles of 64 keys, the next 8
    ByHead: (TRIANGLE + DOCUMENTS) // 2,
    CapturedTensor: DOCUMENTS,
    Buffered: DOCUMENTS,
}


def counted(made: type[nn.Module], pass_: str, n: int = N) -> Counted:
    """The count of a module of that kind, made for its length."""
    takes = {"length": "{n}"} if "length" in inspect.signature(made).parameters else {}
    return count(
        ModuleTarget(made.__name__, made.__name__, made, Usage(arguments=takes)),
        Shape(n=n, dim=DIM, heads=HEADS),
        pass_,
    )


@pytest.mark.parametrize("made", PAIRS)
def test_forward_is_the_live_tiles(made: type[nn.Module]) -> None:
    cost = counted(made, "forward").cost
    assert cost.flops_core_executed == HEADS * PAIRS[made] * 2 * (D + D)
    assert cost.flops_executed == HEADS * PAIRS[made] * 2 * (D + D) + 2 * N * DIM * 3 * DIM
    assert cost.certificate is not None
    assert cost.certificate.backend == "flex"
    assert cost.certificate.tile is not None
    assert "BlockMask" in cost.certificate.tile


@pytest.mark.parametrize("made", PAIRS)
def test_training_is_the_live_tiles_of_both_kernels(made: type[nn.Module]) -> None:
    cost = counted(made, "train").cost
    core = HEADS * PAIRS[made] * (2 * (D + D) + 2 * (3 * D + 2 * D))
    assert cost.flops_core_executed == core
    assert cost.flops_executed == core + 3 * 2 * N * DIM * 3 * DIM
    assert cost.saved_bytes is not None
    assert cost.peak_bytes is not None
    assert 4 * 4 * N * DIM <= cost.saved_bytes <= cost.peak_bytes, "q, k, v and the output at least"
    assert cost.certificate is not None
    assert "flex_attention" in cost.certificate.unknown_workspaces


def test_a_mask_of_the_data_is_counted_for_real_or_refused_in_one_line() -> None:
    """Forward it can be run here, and is, flagged; the backward no machine without a kernel can run."""
    found = counted(FromInput, "forward")
    assert "counted_on_real_tensors" in found.flags
    assert found.cost.flops_core_executed is not None
    assert found.cost.flops_core_executed % (TILE * TILE * 4 * D * HEADS) == 0
    with pytest.raises(NoValues, match="depends on the values of tensors") as caught:
        counted(FromInput, "train")
    assert "buffers that the constructor fills" in caught.value.hint


def test_an_assembled_mask_is_counted_for_real_or_refused_without_a_word_of_internals() -> None:
    """One tile in each of four rows."""
    found = counted(Assembled, "forward")
    assert "counted_on_real_tensors" in found.flags
    assert found.cost.flops_core_executed == HEADS * DOCUMENTS * 4 * D
    with pytest.raises(Unsupported, match="put together from tensors") as caught:
        counted(Assembled, "train")
    assert "live_blocks" not in str(caught.value)
    assert "create_block_mask" in caught.value.hint


def test_a_module_made_for_real_has_a_longest_length() -> None:
    with pytest.raises(TooLarge, match="up to n = 8192, not 16384"):
        counted(CapturedTensor, "forward", 16384)


def test_a_long_mask_allocates_no_pairs() -> None:
    """At 16k the causal mask has 128 * 129 / 2 tiles; a mask of all pairs would take 256 MiB."""
    cost = counted(InForward, "forward", 16384).cost
    assert cost.flops_core_executed == HEADS * (128 * 129 // 2) * TILE * TILE * 2 * (D + D)


def test_too_many_pairs_are_refused() -> None:
    with pytest.raises(TooLarge, match="pair by pair"):
        live_tiles(lambda b, h, i, j: i >= j, (2, 8), (1 << 16, 1 << 16), (128, 128), apart=True)


@pytest.mark.parametrize("n", [1, 100, 128, 300])
@pytest.mark.parametrize("block", [(128, 128), (64, 32)])
@pytest.mark.parametrize(
    "mask_mod",
    [
        lambda b, h, i, j: i >= j,
        lambda b, h, i, j: (i - j) % 3 == 0,
        lambda b, h, i, j: (i - j).abs() < 20 * (h + 1),
        lambda b, h, i, j: (i >= j) & (b == 1),
        lambda b, h, i, j: (j > i) & (j < i),
    ],
)
def test_live_tiles_are_those_that_torch_makes(
    mask_mod: Callable[..., Any], block: tuple[int, int], n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attnprof.counting.flex_masks.PAIRS", 1)
    theirs = create_block_mask(mask_mod, 2, 3, n, n, "cpu", BLOCK_SIZE=block)
    assert theirs.full_kv_num_blocks is not None
    expected = int(theirs.kv_num_blocks.sum()), int(theirs.full_kv_num_blocks.sum())
    assert live_tiles(mask_mod, (2, 3), (n, n), block, apart=True) == expected
    united = live_tiles(mask_mod, (2, 3), (n, n), block, apart=False)
    assert united == (sum(expected), 0)


def test_what_the_count_of_masks_rests_on_in_torch() -> None:
    """A canary: names and signatures of torch's private parts, and the order of a flat BlockMask."""
    parameters = inspect.signature(flex._create_sparse_block_from_block_mask).parameters
    assert list(parameters)[:3] == ["block_mask", "mask_mod", "seq_lengths"]
    assert list(inspect.signature(flex._validate_device).parameters) == ["query", "key", "value"]
    assert flex._LARGE_SPARSE_BLOCK_SIZE == 1 << 30
    assert flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG is False
    assert "_create_sparse_block_from_block_mask" in create_block_mask.__code__.co_names
    assert "_validate_device" in flex.flex_attention.__code__.co_names
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, 300, 300, "cpu")
    tuple_ = mask.as_tuple()
    assert tuple_[2] is mask.kv_num_blocks
    assert tuple_[4] is mask.full_kv_num_blocks
    assert tuple_[-3:-1] == (128, 128)
    assert isinstance(mask, BlockMask)


def test_torch_is_as_it_was_after_a_count() -> None:
    before = flex._create_sparse_block_from_block_mask, flex._validate_device
    with pytest.raises(NoValues), counted_flex():
        raise NoValues
    assert (flex._create_sparse_block_from_block_mask, flex._validate_device) == before
    assert flex._FLEX_ATTENTION_DISABLE_COMPILE_DEBUG is False
    assert not captures_fake(lambda: before)
