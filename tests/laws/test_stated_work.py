"""The paper's formula and the useful work: per pass, depth and layer, every parameter in its place, never too much."""

from __future__ import annotations

import numpy as np
import pytest

from attnprof.counting import count
from attnprof.counting.paper_formula import paper_flops
from attnprof.counting.useful import useful_flops
from attnprof.pattern import Slots
from attnprof.shapes import Shape
from attnprof.targets import catalog, door
from attnprof.targets.scheme import CatalogTarget
from attnprof.units import Value
from attnprof.words import Level, Pass
from tests.laws.cases import Case, as_params, cases


def found(name: str, **params: Value) -> CatalogTarget:
    """A scheme with parameters set."""
    target = door.find(name, params=params)
    assert isinstance(target, CatalogTarget)
    return target


def useful(target: CatalogTarget, shape: Shape, pass_: Pass = Pass.FORWARD) -> int:
    """The useful work, which is known here."""
    flops, why = useful_flops(target, shape, pass_)
    assert flops is not None, why
    return flops


def executed(target: CatalogTarget, shape: Shape) -> int:
    """What the forward's core executes: the closed form, which `test_schemes` holds to the count; flash has none."""
    closed = target.flops_core(shape)
    found = count(target, shape, Pass.FORWARD).cost.flops_core_executed if closed is None else closed
    assert found is not None
    return found


@pytest.mark.parametrize("case", as_params([case for case in cases() if case.impl != "masked"]))
def test_no_scheme_executes_less_than_is_useful(case: Case) -> None:
    """Under a dense mask what is executed is all pairs."""
    for n in (1, 2, 17, 100, 256):
        shape = case.shape(n, "float32")
        flops, _ = useful_flops(case.target, shape, Pass.FORWARD)
        assert flops is None or flops <= executed(case.target, shape), n


# Both ways, where n fills all blocks and tiles: every pair that is computed is an edge. Causal blocks on the diagonal
# are half in vain, tiles of a window reach beyond it, and a soft sorting mixes blocks beside.
EXACT: list[tuple[str, int, dict[str, Value]]] = [
    ("dense", 100, {}),
    ("flash", 100, {}),
    ("cross", 100, {}),
    ("switch", 100, {}),
    ("axial", 64, {}),
    ("block_local", 64, {"block": 16}),
    ("bigbird", 256, {"block": 16}),
    ("sortcut", 64, {"hard": True}),
    ("swin", 64, {"window": 4, "shift": 0}),
]


@pytest.mark.parametrize(("name", "n", "params"), EXACT)
def test_a_scheme_without_padding_or_mask_executes_what_is_useful(name: str, n: int, params: dict[str, Value]) -> None:
    target, shape = found(name, **params), Shape(n, batch=3, dim=32, heads=4)
    assert useful(target, shape) == executed(target, shape)


# Parameters that change no product of the core, or that the paper's count leaves out; each with the reason.
NOT_COUNTED = {
    "axial.combine": "rows and columns are read either way, in one layer or in two",
    "bigbird.layout": "as many global blocks, elsewhere",
    "clustered.iterations": "Lloyd's steps compare bits",
    "clusterformer.iterations": "centres are updated between passes",
    "compressive.rate": "the convolution that compresses is no part of the core; 2 n D^2 at any rate",
    "deltanet.conv": "of the projections, not of the core",
    "cosformer.chunk": "the paper's causal form is a scan",
    "cosformer.length": "turns features by other angles",
    "dilated_window.dilation": "as many keys, further apart",
    "entmax.alpha": "the map from scores to weights multiplies nothing",
    "evicting.policy": "of the tokens after the prompt",
    "evicting.heavy": "of the tokens after the prompt",
    "evicting.recent": "of the tokens after the prompt",
    "etc.clip": "the paper counts pairs; labels are in the useful work",
    "gated_deltanet.conv": "of the projections, not of the core",
    "gated_deltanet.key_heads": "the paper has as many of both",
    "linear.chunk": "the paper's causal form is a scan",
    "luna.chunk": "the paper's causal form is a prefix sum",
    "linformer.sharing": "a shared matrix multiplies as often",
    "longformer.dilation": "as many keys, further apart",
    "mamba2.groups": "the paper counts C B^T a head",
    "mamba2.conv": "of the projections, not of the core",
    "mla.kv_latent": "of the projections, not of the core",
    "mla.query_latent": "of the projections, not of the core",
    "neighbourhood.dilation": "as many keys, further apart",
    "nsa.group": "which heads choose together",
    "performer.chunk": "the paper's causal form is a prefix sum",
    "pooled.pooling": "the paper counts attention over slots, not their making",
    "poolingformer.kernel": "a mean over more tokens is no product",
    "rfa.chunk": "the paper's causal form is a prefix sum",
    "reformer.duplicates": "a correction of scores",
    "reformer.reversible": "of the block, not of the core",
    "reformer.ffn_chunks": "of the block, not of the core",
    "ring.devices": "all of them together do the same work",
    "set_transformer.variant": "residuals and projections differ, the two attentions do not",
    "sinkhorn.temperature": "scales scores",
    "sinkhorn.iterations": "sums of rows and columns",
    "sinkhorn.gumbel": "noise on scores",
    "sortcut.temperature": "scales scores",
    "sortcut.iterations": "sums of rows and columns",
    "sortcut.gumbel": "noise on scores",
    "swin.shift": "as many windows, elsewhere",
    "swin.merging": "a projection after the layers",
    "switch.experts": "of the FFN, not of attention",
    "switch.experts_per_token": "of the FFN, not of attention",
    "switch.capacity": "of the FFN, not of attention",
    "token_learner.hidden": "of the two layers that make the maps, not of the pooling",
    "transformer_xl.same_length": "the same products under another mask",
    "yoso.bits": "a power of a weight",
}
LISTS = {"stack": ("LLM",), "segments": ("1024,2048,4096,4096,4096",), "dilations": ("1,4,4,6,12",)}
WITH = {"synthesizer.rank": {"variant": "factorised"}}
PARAMETERS = [
    (name, param)
    for name in catalog.names()
    for param in catalog.entry(name).defaults
    if catalog.entry(name).flops_paper
]


def others(name: str, param: str) -> list[Value]:
    """Other values of a parameter."""
    entry = catalog.entry(name)
    default, at = entry.defaults[param], found(name).resolve(4096).get(param)
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, str):
        return [word for word in (entry.params[param].words or LISTS.get(param, ())) if word != default]
    size = default if default is not None else at
    assert isinstance(size, (int, float))
    return [size * 2, size + 2 if isinstance(size, int) else size / 2, max(size // 2, 1)]


@pytest.mark.parametrize(("name", "param"), PARAMETERS)
def test_a_parameter_is_in_the_papers_formula_or_has_a_reason_not_to_be(name: str, param: str) -> None:
    fixed: dict[str, Value] = dict(WITH.get(f"{name}.{param}", {}))
    differs = False
    for causal in catalog.card(name).causality:
        shape = Shape(4096, causal=causal)
        base = found(name, **fixed).flops_paper(shape)
        differs |= any(found(name, **fixed, **{param: v}).flops_paper(shape) != base for v in others(name, param))
    assert differs == (f"{name}.{param}" not in NOT_COUNTED)


def test_no_reason_is_given_for_what_there_is_not() -> None:
    assert set(NOT_COUNTED) <= {f"{name}.{param}" for name, param in PARAMETERS}


# Routing finds its clusters by products that no edge asks for, a soft sorting mixes all blocks, a band cut out of
# segments and memories leaves much of them masked, a learned matrix is of full size, and an indexer or a gate is in the
# papers' counts and no pair.
FAR = (
    *("block_selected-block=16,topk=1", "csa", "dsa", "moba", "routing", "sinkhorn-both", "sinkhorn-causal"),
    *("transformer_xl-memory=200,same", "transformer_xl-memory=8,same", "synthesizer-variant=factorised"),
)


@pytest.mark.parametrize("case", as_params([case for case in cases() if not str(case).startswith(FAR)]))
def test_the_papers_formula_is_near_the_useful_work(case: Case) -> None:
    """Up to the half of a causal mask, and what either leaves out: they are the same pairs, counted twice."""
    for target, n in ((case.target, 1000), (found(case.name, **case.params), 4096)):
        shape = Shape(n, causal=case.causal, dim=64, heads=4)
        flops, _ = useful_flops(target, shape, Pass.FORWARD)
        paper = target.flops_paper(shape)
        if flops is not None and paper is not None:
            assert 0.7 < paper / flops < 2.5


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.entry(name).flops_paper])
def test_the_papers_formula_is_per_pass_depth_and_sequence(name: str) -> None:
    target = found(name)
    shape = Shape(600, batch=1, dim=64, heads=4, causal=target.card.native_causal, level=Level.BLOCK)
    once, _ = paper_flops(target, shape, Pass.FORWARD)
    assert once is not None
    deep = shape.replace(depth=5, batch=3)
    assert paper_flops(target, deep, Pass.FORWARD) == (15 * once, "")
    assert paper_flops(target, deep, Pass.TRAIN) == (45 * once, "")


def test_twelve_layers_of_dense_attention_are_twelve_times_one() -> None:
    """4 n^2 D = 4 * 512^2 * 768 = 805,306,368 a layer; of one token more 4 * 513 * 768 = 1,575,936."""
    shape = Shape(512, dim=768, heads=12, level=Level.BLOCK, depth=12)
    for pass_, expected in ((Pass.FORWARD, 9_663_676_416), (Pass.TRAIN, 28_991_029_248)):
        assert paper_flops(found("dense"), shape, pass_) == (expected, "")
        assert useful(found("dense"), shape, pass_) == expected
    one = shape.replace(depth=1, level=Level.ATTENTION)
    assert paper_flops(found("dense"), one, Pass.DECODE) == (1_575_936, "")


def test_depth_is_of_blocks_alone() -> None:
    shape = Shape(64, dim=16, heads=2, depth=3, level=Level.ATTENTION)
    assert useful(found("dense"), shape) == found("dense").flops_paper(shape) == 4 * 64 * 64 * 16


def test_an_encoder_and_a_decoder_are_three_attentions() -> None:
    """2 layers of 4 m^2 D, of 4 n^2 D (half of it causal, n (n + 1) / 2 pairs) and of 4 n m D."""
    n, m, width = 32, 48, 16
    shape = Shape(n, m=m, batch=2, dim=width, heads=2, causal=True, level=Level.BLOCK, depth=2)
    across = m * m + n * m
    assert found("dense").flops_paper(shape) == 2 * 2 * 4 * width * (across + n * n)
    assert useful(found("dense"), shape) == 2 * 2 * 4 * width * (across + n * (n + 1) // 2)
    assert useful(found("dense"), shape, Pass.TRAIN) == 3 * useful(found("dense"), shape)


def test_a_step_is_what_its_window_holds() -> None:
    causal = Shape(100, dim=32, heads=4, causal=True)
    for name, params, keys in (
        ("sliding_window", {"window": 16}, 16),
        ("sliding_window", {"window": 512}, 101),
        ("sinks", {"window": 16, "sinks": 4}, 20),
    ):
        assert paper_flops(found(name, **params), causal, Pass.DECODE) == (4 * keys * 32, "")
    assert paper_flops(found("linear"), causal, Pass.DECODE) == (4 * 32 * 8, "")
    flops, why = paper_flops(found("transformer_xl"), causal, Pass.DECODE)
    assert flops is None
    assert "one token more" in why


@pytest.mark.parametrize("params", [{}, {"same_length": True}, {"memory": 0}, {"segment": 48}])
@pytest.mark.parametrize("n", [1, 16, 17, 100])
def test_transformer_xl_scores_every_pair_twice(n: int, params: dict[str, Value]) -> None:
    """Content and position, then the value: 2 (d + d + d) an edge; of one token more those of its row."""
    target = found("transformer_xl", **{"segment": 16, "memory": 24, **params})
    shape = Shape(n, batch=2, dim=32, heads=4, causal=True)
    assert useful(target, shape) == 2 * 4 * 6 * 8 * target.graph(shape).edges()
    row = int(target.graph(shape, later=1).slices().out_degree()[-1])
    assert useful(target, shape, Pass.DECODE) == 2 * 4 * 6 * 8 * row


@pytest.mark.parametrize("n", [1, 16, 17, 60, 100, 257])
def test_the_compressive_transformer_reads_tokens_and_slots(n: int) -> None:
    target = found("compressive", segment=16, memory=24, compressed=10, rate=3)
    shape = Shape(n, dim=32, heads=4, causal=True)
    expr = target.graph(shape).expr()
    pairs = expr.edges(n)
    if isinstance(expr, Slots):
        assert expr.direct is not None
        pairs = expr.direct.slices(n).edges + expr.writes.edges
    assert target.pairs(shape) == pairs
    assert useful(target, shape) == 6 * 32 * pairs


@pytest.mark.parametrize(("window", "tokens", "clip"), [(8, 3, 2), (8, 0, 2), (4, 3, 9), (0, 1, 3), (100, 2, 5)])
@pytest.mark.parametrize("n", [2, 9, 40])
def test_etc_multiplies_a_query_with_each_label_that_it_meets(window: int, tokens: int, clip: int, n: int) -> None:
    """Counted label by label: clipped lags of long tokens, one for all global keys; of a global query a difference."""
    target, shape = found("etc", window=window, global_tokens=tokens, clip=clip), Shape(n, dim=32, heads=4)
    edges = target.graph(shape).slices().dense()
    hubs, labels = min(tokens, n // 2), 0
    for i in range(n):
        if i < hubs:
            labels += 1
            continue
        met = {"global" if j < hubs else max(-clip, min(clip, int(j) - i)) for j in np.flatnonzero(edges[i])}
        labels += len(met)
    assert target.score_products(shape) == labels
    assert useful(target, shape) == 32 * (4 * edges.sum() + 2 * labels)


def test_train_is_three_times_the_forward() -> None:
    for name in ("transformer_xl", "etc", "longformer", "reformer"):
        target = found(name)
        shape = Shape(300, dim=32, heads=4, causal=target.card.native_causal)
        assert useful(target, shape, Pass.TRAIN) == 3 * useful(target, shape)
