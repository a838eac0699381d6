"""Decoding by a cache of transformers: states by hand, FLOPs and peaks of a real step on real tensors."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attnprof.checks import CheckRequest, examine
from attnprof.contracts import Decodes
from attnprof.counting.counted import count
from attnprof.errors import Unsupported
from attnprof.records import Cost
from attnprof.words import Pass

pytest.importorskip("transformers")
from tests.fakes.public_classes import SDPA, PublicClass, hf
from tests.fakes.whole_models import hub, keys
from tests.unit.counting.allocator import peak_of_step

N, D, HEADS, WIDTH = 64, 64, 4, 16
LAYER = 2 * HEADS * WIDTH * 4  # bytes of the keys and values of one token, in float32
LLAMA = hf("llama", "LlamaAttention", SDPA, causal=True, sizes={"kv_heads": 2})
IDS = PublicClass(
    "transformers:GPT2LMHeadModel", "--config-arg vocab_size=100 --config-arg n_layer=2 --input input_ids"
)
SMALL = {"num_hidden_layers": 2, "vocab_size": 100, "intermediate_size": 64, "head_dim": WIDTH, "sliding_window": 32}
SMALL |= {"sliding_window_pattern": 2}
GEMMA = PublicClass("transformers:Gemma3TextModel", keys(**SMALL), causal=True)
GPT_OSS = hub("GptOssModel", num_hidden_layers=2, head_dim=WIDTH, sliding_window=32, num_local_experts=4)
MAMBA = hub("MambaModel", heads=False, intermediate_size=None)
# A target, and its state after 64 tokens, and what one more adds: a window keeps its 32 whatever n, Mamba no token.
STATES = {
    "llama": (LLAMA, LAYER // 2 * N, LAYER // 2),
    "gemma3": (GEMMA, LAYER * (N + 32), LAYER),
    "gpt2": (IDS, 2 * LAYER * N, 2 * LAYER),
    "mamba": (MAMBA, 2 * 4 * (128 * 4 + 128 * 16), 0),
    "qwen3": (hub("Qwen3Model"), 2 * LAYER * N, 2 * LAYER),
    "gpt_oss": (GPT_OSS, LAYER * (N + 32), LAYER),
}
QUICK = ("llama", "gemma3")


def stepped(public: PublicClass, drafts: int = 1) -> tuple[Cost, int, int]:
    """The cost of a step, and of a real one: FLOPs of `FlopCounterMode`, and the allocator's peak."""
    target, shape = public.target(), public.shape(N).replace(drafts=drafts)
    cost = count(target, shape, Pass.DECODE).cost
    module = target.build(shape).eval()
    assert isinstance(module, Decodes)
    new = [x[..., -drafts:] if x.dim() < 3 else x[..., -drafts:, :].contiguous() for x in target.inputs(shape)]
    with torch.no_grad():
        peak = peak_of_step(lambda: module.state(N), lambda state: module.step(*new, state))
        state = module.state(N)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module.step(*new, state)
    return cost, counter.get_total_flops(), peak


@pytest.mark.parametrize("name", [pytest.param(it, marks=[] if it in QUICK else [pytest.mark.slow]) for it in STATES])
def test_a_step_costs_what_a_real_one_does(name: str) -> None:
    public, state, growth = STATES[name]
    cost, flops, peak = stepped(public)
    assert (cost.state_bytes, cost.state_growth_bytes) == (state, growth)
    if name != "gpt_oss":  # grouped products of experts are not in that counter
        assert cost.flops_executed == flops
    assert cost.peak_bytes == pytest.approx(peak, rel=0.01, abs=64)


def test_drafts_are_verified_in_one_step() -> None:
    cost, flops, _ = stepped(hub("LlamaModel"), drafts=3)
    assert cost.flops_executed == flops
    with pytest.raises(Unsupported, match="LlamaAttention is given no mask, without which 3 tokens"):
        count(LLAMA.target(), LLAMA.shape(N).replace(drafts=3), Pass.DECODE)
    with pytest.raises(Unsupported, match="65 drafts are more than the 64 tokens"):
        count(LLAMA.target(), LLAMA.shape(N).replace(drafts=65), Pass.DECODE)


def test_a_copy_decodes_by_itself() -> None:
    target, shape = LLAMA.target(), LLAMA.shape(8)
    module = target.build(shape).eval()
    other = copy.deepcopy(module).double()
    assert isinstance(other, Decodes)
    assert type(other).__name__ == "LlamaAttention"
    out, _ = other.step(
        *(x[..., -1:, :].double() for x in target.inputs(shape)),
        other.prefill(*map(torch.Tensor.double, target.inputs(shape))),
    )
    assert out.dtype is torch.float64


def test_decoding_is_looked_at_where_there_is_a_cache() -> None:
    found = examine(IDS.target(), IDS.shape(32), CheckRequest(causal=True, budget_s=0.5))
    assert "decoding" in found.passed
