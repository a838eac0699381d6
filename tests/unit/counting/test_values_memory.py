"""Tiles of fused kernels and what kernels hold while they run, by hand; test_workspaces.py asks the allocator."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnprof.counting import tiles, workspace
from attnprof.counting.classify import OperatorKind
from attnprof.counting.counter import learn

aten = torch.ops.aten
THREADS = 3


@pytest.fixture(autouse=True)
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: THREADS)


def t(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype)


@pytest.mark.parametrize(("n", "rows"), [(1, 32), (191, 32), (192, 64), (767, 64), (768, 256), (5000, 256)])
def test_rows_of_the_cpu_kernels_tiles(n: int, rows: int) -> None:
    assert tiles.flash_cpu_split(n) == rows


# 300 rows go in blocks of 64, the last of 44; keys in blocks of 512 up to the one that holds the last row.
@pytest.mark.parametrize(
    ("n", "m", "causal", "pairs"),
    [
        (300, 700, False, 300 * 700),
        (300, 700, True, 300 * 512),
        (300, 100, True, 300 * 100),  # no more keys than there are
        (600, 600, True, 512 * 512 + 88 * 600),
        (768, 2000, True, 512 * 512 + 256 * 1024),
        (1025, 1025, True, 512 * 512 + 512 * 1024 + 1 * 1025),
        (512, 1024, True, 512 * 512),  # a block that ends where a block of keys does reads no further
    ],
)
def test_pairs_of_the_cpu_kernel(n: int, m: int, causal: bool, pairs: int) -> None:
    assert tiles.flash_cpu(n, m, causal).pairs == pairs


def brute(n: int, m: int, behind: int, ahead: int, shift: int) -> int:
    return sum(-behind <= j - (i + shift) <= ahead for i in range(n) for j in range(m))


SIZES = [(1, 1), (5, 7), (7, 5), (6, 6), (3, 11), (11, 3)]


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_triangles_and_bands_are_counted_pair_by_pair(n: int, m: int) -> None:
    assert tiles.triangle(n, m, False).pairs == n * m
    assert tiles.triangle(n, m, True).pairs == brute(n, m, 99, 0, 0)
    assert tiles.triangle(n, m, True, bottom_right=True).pairs == brute(n, m, 99, 0, m - n)
    for right in (False, True):
        shift = m - n if right else 0
        for behind in (None, 0, 1, 4):
            for ahead in (None, 0, 2, 9):
                found = tiles.band(n, m, behind, ahead, bottom_right=right)
                left, ahead_of = (99 if side is None else side for side in (behind, ahead))
                assert found.pairs == brute(n, m, left, ahead_of, shift), (behind, ahead, right)


@pytest.mark.parametrize("shift", range(-9, 10))
def test_a_staircase_is_the_sum_of_its_rows(shift: int) -> None:
    for n, m in SIZES:
        assert tiles.staircase(n, m, shift) == sum(min(max(i + 1 + shift, 0), m) for i in range(n))


# Ten rows of width 4 against seven keys: 70 scores, two statistics a row and 40 outputs a thread, in four bytes; halves
# hold their scores once more in two.
FORWARD = [
    (torch.float32, 3 * 4 * (70 + 20 + 40)),
    (torch.bfloat16, 3 * (4 * (70 + 20 + 40) + 2 * 70)),
    (torch.float64, 3 * 8 * (70 + 20 + 40)),
]
# Two tiles of scores and a sum a row; grad_output [b, h, n, d] is copied where it does not lie as [b, n, h, d].
BACKWARD = [
    (torch.float32, 3 * (4 * 140 + 40)),
    (torch.bfloat16, 3 * (6 * 140 + 40)),
    (torch.float64, 3 * (8 * 140 + 80)),
]


@pytest.mark.parametrize(("dtype", "expected"), FORWARD)
def test_the_cpu_kernel_holds_a_tile_a_thread(dtype: torch.dtype, expected: int) -> None:
    q, k = t(1, 2, 10, 4, dtype=dtype), t(1, 2, 7, 4, dtype=dtype)
    assert workspace.flash_cpu(q, k, k) == expected


def test_a_tile_is_no_larger_than_the_blocks_of_the_kernel() -> None:
    """300 rows go by 64, 700 keys by 512."""
    q, k = t(1, 1, 300, 4), t(1, 1, 700, 4)
    assert workspace.flash_cpu(q, k, k) == 3 * 4 * (64 * 512 + 2 * 64 + 64 * 4)
    assert workspace.flash_cpu_backward(t(1, 1, 300, 4), q, k) == 3 * 4 * (2 * 64 * 512 + 64)


@pytest.mark.parametrize(("dtype", "expected"), BACKWARD)
def test_its_backward_holds_two_and_its_gradient(dtype: torch.dtype, expected: int) -> None:
    q, k = t(1, 2, 10, 4, dtype=dtype), t(1, 2, 7, 4, dtype=dtype)
    lying = t(1, 10, 2, 4, dtype=dtype).transpose(1, 2)
    assert workspace.flash_cpu_backward(lying, q, k) == expected
    assert workspace.flash_cpu_backward(t(1, 2, 10, 4, dtype=dtype), q, k) == expected + 80 * dtype.itemsize


@pytest.mark.parametrize(
    ("matrix", "ready"),
    [
        (t(3, 4), True),
        (t(4, 3).t(), True),
        (t(3, 8)[:, :4], True),  # rows apart
        (t(8, 3)[:4].t(), True),
        (t(6, 8)[::2, ::2], False),
        (t(3, 1), True),
        (t(1, 3), True),
        (t(3, 0), True),
        (t(20).as_strided((3, 4), (2, 1)), False),  # rows that overlap
        (t(20).as_strided((3, 4), (1, 2)), False),  # columns that do
        (t(20).as_strided((3, 4), (4, 1)), True),
        (t(20).as_strided((3, 4), (1, 3)), True),
    ],
)
def test_what_blas_reads_as_it_lies(matrix: Tensor, ready: bool) -> None:
    assert workspace.gemm_ready(matrix) is ready


def test_a_product_copies_what_blas_cannot_read() -> None:
    torn, whole = t(6, 8)[::2, ::2], t(4, 5)
    assert workspace.product(torn, whole) == 12 * 4
    assert workspace.product(t(3, 4), t(8, 10)[::2, ::2]) == 20 * 4
    assert workspace.added_product(t(5), torn, whole) == 12 * 4
    batch = t(2, 6, 8)[:, ::2, ::2]
    assert workspace.product(batch, t(2, 4, 5)) == 12 * 4  # one after the other
    assert workspace.product(t(0, 6, 8)[:, ::2, ::2], t(0, 4, 5)) == 0
    waiting = t(3, 4, dtype=torch.complex64).conj()
    assert workspace.product(waiting, t(4, 5, dtype=torch.complex64)) == 12 * 8


def test_rows_are_read_from_contiguous_copies() -> None:
    lying, across = t(3, 4), t(4, 3).t()
    assert workspace.contiguous_copy(lying) == 0
    assert workspace.contiguous_copy(across) == 48
    assert workspace.contiguous_copies(lying, across) == workspace.contiguous_copies(across, lying) == 48
    assert workspace.contiguous_copies(across, across) == 96


@pytest.mark.parametrize(
    ("x", "dims", "copied"),
    [
        (t(2, 3, 8), [2], False),
        (t(2, 3, 8), [1, 2], False),
        (t(2, 3, 8), [1], True),
        (t(2, 8, 3).transpose(1, 2), [2], True),
        (t(3, 2, 8).transpose(0, 1), [2], False),  # sequences in another order
        (t(2, 3, 16)[..., ::2], [2], True),
        (t(2, 3, 16)[:, :, :8], [2], True),  # rows apart
        (t(2, 1, 8, 3)[..., :1].squeeze(-1), [2], True),
        (t(2, 4, 8)[:, :1], [2], True),
        (t(1, 4, 8)[:, :1], [2], False),  # a single row, wherever the next would be
    ],
)
def test_a_transform_copies_what_does_not_lie_row_after_row(x: Tensor, dims: list[int], copied: bool) -> None:
    assert workspace.transform(x, dims) == (4 * x.numel() if copied else 0)


def test_buffers_of_single_kernels() -> None:
    x, half = t(3, 5), t(3, 5, dtype=torch.bfloat16)
    across = t(5, 3).t()
    assert workspace.roll(x, [1, 1], [0, 1]) == 60
    assert workspace.roll(x, [1], [1]) == workspace.roll(x, [1]) == 0
    assert workspace.log_sum_exp(x, [1]) == 60 + 12
    assert workspace.log_sum_exp(x, [0, 1]) == workspace.log_sum_exp(x, []) == 60 + 4
    assert workspace.log_sum_exp(t(), [0]) == 4 + 4
    assert workspace.log_sum_exp(t(3, 0), [1]) == 0
    assert workspace.safe_softmax(x) == 15 + 3 + 4
    assert workspace.safe_softmax(across) == 60 + 15 + 3 + 4
    assert workspace.safe_softmax(half) == 15 + 3 + 2
    assert workspace.safe_softmax(t(3, 0)) == 4
    assert workspace.sort(x) == workspace.sort(x, True) == 8 * 5
    assert workspace.sort(x, 0) == workspace.sort(x, True, dim=0) == 8 * 3
    assert workspace.sort(t()) == 8
    assert workspace.kth_value(x) == 15 * 12
    assert workspace.kth_value(half) == 15 * 10
    assert workspace.layer_norm_backward(t(2, 4, 5), t(2, 4, 5), [4, 5]) == 2 * 3 * 20 * 4
    assert workspace.group_norm_backward(t(2, 6, 5)) == 2 * 12 * 4
    assert workspace.batch_norm(t(2, 6, 5)) == 2 * 6 * 4
    assert workspace.unfold_backward(t(2, 4, 4), [2, 10], 1, 4, 2) == 80
    assert workspace.unfold_backward(t(2, 4, 4), [2, 10], 1, 4, 4) == 0
    assert workspace.convolution_backward(t(2, 6, 5), t(2, 4, 7), t(6, 4, 3)) == 4 * (60 + 56 + 72)


def convolved(x: Tensor, weight: Tensor, made: Tensor, *, transposed: bool = False, groups: int = 1) -> int:
    return workspace.convolution(x, weight, None, [1], [0], [1], transposed, [0], groups, made=made)


def test_copies_of_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short sequence is unfolded: places times what a filter sees. Else input and weight are laid out anew."""
    x, weight = t(1, 4, 7), t(6, 4, 3)
    assert convolved(x, weight, t(1, 6, 5)) == 5 * 12 * 4
    assert convolved(t(1, 7, 4).transpose(1, 2), weight, t(1, 6, 5)) == 28 * 4 + 5 * 12 * 4
    assert convolved(t(2, 4, 7), weight, t(2, 6, 5)) == 4 * (56 + 72)
    assert convolved(t(2, 4, 7), t(99, 4, 3), t(2, 99, 5)) == 4 * (56 + 99 * 12)
    assert convolved(t(2, 1, 7), t(99, 1, 1), t(2, 99, 7)) == 4 * 2 * 99 * 7  # the result is larger than both
    assert convolved(x, t(4, 6, 3), t(1, 6, 9), transposed=True) == 4 * (28 + 72)
    # The limit is 20480 numbers.
    assert convolved(t(1, 5, 4096), t(2, 5, 3), t(1, 2, 4094)) == 4094 * 15 * 4
    assert convolved(t(1, 5, 4097), t(2, 5, 3), t(1, 2, 4095)) == 4 * (5 * 4097 + 30)
    # Two groups of channels are copied as they are; one channel a group is rounded up to a vector of 8 or of 16,
    # in the result too, which is there already without its padding.
    assert convolved(x, t(6, 2, 3), t(1, 6, 5), groups=2) == 4 * (28 + 36)
    depthwise = t(1, 5, 7), t(5, 1, 3), t(1, 5, 5)
    for capability, rounded in (("AVX2", 8), ("AVX512", 16)):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda found=capability: found)
        assert convolved(*depthwise, groups=5) == 4 * (7 + 3 + 5) * rounded - 4 * 25


@pytest.mark.parametrize(
    ("operator", "unseen"),
    [
        (aten.mm.default, False),
        (aten.mv.default, False),
        (aten.addmv.default, False),
        (aten.dot.default, False),
        (aten.add.Tensor, False),
        (aten.view.default, False),
        (aten.convolution.default, True),  # estimated
        (aten.linalg_inv_ex.default, True),
        (aten._cudnn_rnn.default, True),
        (aten.isin.Tensor_Tensor, True),
        (aten.masked_select.default, True),
        (aten.nanmedian.default, True),
        (aten.matrix_exp.default, False),  # made of others, which are seen
    ],
)
def test_what_is_not_known_of_a_kernel_is_said(operator: Any, unseen: bool) -> None:
    assert learn(operator).unseen is unseen


def test_a_kernel_is_known_by_what_it_is_a_variant_of() -> None:
    assert workspace.workspace_of(aten.mm.out, OperatorKind.COUNTED) is workspace.product
    assert workspace.workspace_of(aten.add_.Tensor, OperatorKind.POINTWISE) is workspace.casts.elementwise
    assert workspace.workspace_of(aten.clone.default, OperatorKind.COPY) is None
