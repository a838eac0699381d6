"""Every scheme inside a whole Transformer block: as encoder, as decoder, as encoder and decoder."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnprof.counting import count
from attnprof.errors import AttnprofError, Unsupported
from attnprof.layers.block import Block, Positions
from attnprof.layers.reversible import Reversible
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from tests.laws.cases import Case, as_params, built, cases, gradients

TWO_EXPERTS = [Case("switch", causal, {"experts_per_token": 2}) for causal in (False, True)]
PLAIN = [*(case for case in cases(varied=False) if case.impl != "masked"), *TWO_EXPERTS]
BLOCKS = as_params(PLAIN)


@pytest.mark.parametrize("case", BLOCKS)
def test_a_block_of_two_equals_its_reference(case: Case) -> None:
    module, reference, inputs = built(case, case.shape(37, depth=2).replace(level="block"))
    out, grads = gradients(module, inputs)
    expected, expected_grads = gradients(reference, inputs)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9 * max(1.0, float(theirs.abs().max())))


def test_a_block_is_what_its_parts_say() -> None:
    shape = Shape(n=20, batch=2, dim=16, heads=2, causal=True, dtype="float64", level="block")
    torch.manual_seed(0)
    module, (x,) = door.find("dense").build(shape), door.find("dense").inputs(shape)
    assert isinstance(module, nn.Sequential)
    positions, block = module
    assert isinstance(positions, Positions)
    assert isinstance(block, Block)
    widen, bias, narrow, last = block.ffn.parameters()
    y = x + positions.waves
    y = y + block.attention(F.layer_norm(y, (16,)))
    inner = F.gelu(F.layer_norm(y, (16,)) @ widen.T + bias)
    torch.testing.assert_close(module(x), y + inner @ narrow.T + last)


def test_positions_are_the_papers_sinusoids() -> None:
    waves = Positions(50, 8).waves
    for p, i in ((0, 0), (7, 1), (49, 3)):
        angle = torch.tensor(p / 10000 ** (2 * i / 8))
        torch.testing.assert_close(waves[p, 2 * i], angle.sin())
        torch.testing.assert_close(waves[p, 2 * i + 1], angle.cos())


@pytest.mark.parametrize("depth", [1, 3])
def test_attention_is_told_from_the_rest_of_a_block(depth: int) -> None:
    shape = Shape(n=256, batch=2, dim=64, heads=4, level="block", depth=depth)
    cost = count(door.find("dense"), shape, "forward").cost
    assert cost.flops_core_executed == depth * 2 * 4 * 256**2 * 64
    assert cost.flops_executed == depth * 2 * (24 * 256 * 64**2 + 4 * 256**2 * 64)


def test_an_encoder_and_a_decoder_are_told_apart_by_length() -> None:
    shape = Shape(n=32, m=48, batch=2, dim=16, heads=2, causal=True, level="block", depth=2, dtype="float64")
    target = door.find("dense")
    torch.manual_seed(0)
    module, (x, source) = target.build(shape), target.inputs(shape)
    out = module(x, source)
    assert out.shape == x.shape
    assert (moved(module, x, source, 20)[:, :20] - out[:, :20]).abs().max() == 0
    assert (module(x, source.roll(1, 1)) - out)[:, 0].abs().max() > 0
    cost = count(target, shape.replace(dtype="float32"), "forward").cost
    layer = 24 * 48 * 16**2 + 4 * 48**2 * 16, 28 * 32 * 16**2 + 4 * 48 * 16**2 + 4 * 32**2 * 16 + 4 * 32 * 48 * 16
    assert cost.flops_executed == 2 * 2 * sum(layer)
    assert cost.flops_core_executed == 2 * 2 * 16 * 4 * (48**2 + 32**2 + 32 * 48)


def moved(module: nn.Module, x: Tensor, source: Tensor, cut: int) -> Tensor:
    """The output with x changed from `cut` on."""
    return module(torch.cat([x[:, :cut], -x[:, cut:]], 1), source)


def test_a_scheme_that_cannot_encode_says_so() -> None:
    shape = Shape(n=32, m=16, dim=16, heads=2, causal=True, level="block")
    with pytest.raises(Unsupported, match="no bidirectional form"):
        door.find("transformer_xl").build(shape)


def test_tokens_are_merged_after_the_blocks() -> None:
    shape = Shape(n=64, dim=16, heads=2, level="block")
    target = door.find("swin", params={"merging": True})
    assert target.build(shape)(*target.inputs(shape)).shape == (1, 16, 32)
    with pytest.raises(Unsupported, match="merges tokens"):
        target.build(shape.replace(depth=2))


def test_layerwise_sharing_is_one_matrix_for_all_layers() -> None:
    shape = Shape(n=64, dim=16, heads=2, level="block", depth=3)
    for sharing, matrices in (("layerwise", 1), ("kv", 3), ("headwise", 6)):
        module = door.find("linformer", params={"sharing": sharing, "rank": 8}).build(shape)
        assert sum(p.shape == (8, 64) for p in module.parameters()) == matrices


@pytest.mark.parametrize("name", ["longformer", "reformer", "dense"])
def test_any_scheme_may_have_experts_for_its_ffn(name: str) -> None:
    case = Case(name, catalog.card(name).causality[0], {"ffn": "switch"})
    module, reference, inputs = built(case, case.shape(37, depth=2).replace(level="block"))
    out, grads = gradients(module, inputs)
    expected, expected_grads = gradients(reference, inputs)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-9, atol=1e-8)
    shape = case.shape(37, "float32").replace(level="block", batch=1)
    plain, experts = (
        count(door.find(name, params={**case.target.parameters, "ffn": ffn}), shape, "forward").cost.flops_executed
        for ffn in ("plain", "switch")
    )
    assert plain is not None
    assert experts is not None
    routed = 2 * 37 * 16 * 8 + 4 * 8 * 6 * 16 * 64  # 8 experts of 64, each for ceil(37 / 8 * 1.25) = 6 tokens
    assert experts - plain == routed - 16 * 37 * 16**2


def test_an_ffn_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttnprofError, match="unknown ffn of dense 'gated'"):
        door.find("dense", params={"ffn": "gated"})


def test_blocks_may_be_reversible_and_their_ffn_in_stretches() -> None:
    from attnprof.layers.attention import QKV, Attention
    from attnprof.layers.block import blocks
    from attnprof.layers.softmax import Softmax

    shape = Shape(n=24, dim=16, heads=2, level="block")
    layers: list[nn.Module] = [Attention(shape, QKV(shape), Softmax()) for _ in range(2)]
    module = blocks(shape, layers, reversible=True, ffn_chunks=4).double()
    assert isinstance(module, nn.Sequential)
    assert isinstance(module[1], Reversible)
    x = torch.randn(2, 24, 16, dtype=torch.float64)
    out, grads = gradients(module, (x,))
    module[1].forward = module[1].reference  # type: ignore[method-assign]
    expected, expected_grads = gradients_again(module, x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads)


def test_a_reformer_keeps_as_much_for_backward_whatever_its_depth() -> None:
    shape = Shape(n=256, dim=32, heads=2, level="block")
    plain, kept = (door.find("reformer", params={"reversible": value}) for value in (False, True))

    def saved(target: object, depth: int) -> int:
        bytes_ = count(target, shape.replace(depth=depth), "train").cost.saved_bytes  # type: ignore[arg-type]
        assert bytes_ is not None
        return bytes_

    assert saved(kept, 4) - saved(kept, 2) < saved(plain, 1) / 100
    assert saved(plain, 4) - saved(plain, 2) > saved(plain, 1)


def test_a_reversible_reformer_has_the_gradients_of_the_plain_blocks() -> None:
    shape = Shape(n=64, batch=2, dim=16, heads=2, level="block", depth=3, dtype="float64", causal=True)
    module, reference, inputs = built(Case("reformer", True), shape)
    out, grads = gradients(module, inputs)
    expected, expected_grads = gradients(reference, inputs)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(grads, expected_grads)


def gradients_again(module: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output and gradients after forgetting those of before."""
    module.zero_grad()
    return gradients(module, (x,))


@pytest.mark.parametrize(
    "case",
    as_params([case for case in PLAIN if case.causal and not catalog.entry(case.name).card.leaks]),
)
def test_a_causal_block_sees_nothing_of_the_future(case: Case) -> None:
    module, _, (x,) = built(case, case.shape(64, depth=2).replace(level="block"))
    for cut in (1, 33, 63):
        later = torch.cat([x[:, :cut], x[:, cut:].flip(1) + 1], 1)
        torch.testing.assert_close(module(later)[:, :cut], module(x)[:, :cut], rtol=0, atol=1e-12)
