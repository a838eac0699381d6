"""Adapters to other people's kernels: refused with a reason where they cannot run, else gated as ours are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attnprof.counting import count
from attnprof.errors import Unsupported
from attnprof.impl import implementation
from attnprof.measure.gate import check
from attnprof.records import Point
from attnprof.shapes import Shape
from attnprof.sweeps.child import Child
from attnprof.targets import catalog, door
from attnprof.targets.usage import Usage
from attnprof.words import DeviceName, DType, Level, Pass
from tests.fakes.kernels import PARTS, install, remove

# Implementation, scheme, causality, KV heads, parameters.
FORMS = [
    ("flash_attn", "dense", False, 4, {}),
    ("flash_attn", "dense", True, 2, {}),
    ("flash_attn", "flash", True, 4, {}),
    ("flash_attn", "gqa", True, 1, {}),
    ("flash_attn", "sliding_window", False, 2, {"window": 6}),
    ("flash_attn", "sliding_window", True, 4, {"window": 6}),
    ("xformers", "dense", False, 4, {}),
    ("xformers", "dense", True, 2, {}),
    ("xformers", "sliding_window", True, 4, {"window": 6}),
    ("natten", "sliding_window", True, 4, {"window": 6}),
    ("natten", "neighbourhood", False, 4, {"kernel": 5, "layout": "line", "dilation": 2}),
    ("natten", "neighbourhood", False, 4, {"kernel": 3}),
    ("natten", "dilated_window", True, 4, {"window": 6, "dilation": 3}),
    ("fla", "linear", True, 2, {}),
    ("fla", "linear", True, 4, {"feature": "relu"}),
    *(("fla", name, True, 4, {}) for name in ("retnet", "gla", "hgrn2", "lightning", "deltanet", "kda", "rwkv7")),
    ("fla", "gated_deltanet", True, 4, {"key_heads": 2}),
    ("fla", "mamba2", True, 4, {"groups": 2, "state": 16}),
]
each = pytest.mark.parametrize(("impl", "name", "causal", "kv_heads", "params"), FORMS)


def shape(causal: bool, kv_heads: int, n: int = 42) -> Shape:
    return Shape(n, batch=2, dim=32, heads=4, kv_heads=kv_heads, causal=causal, dtype=DType.BFLOAT16)


@each
def test_where_it_runs_it_passes_the_gate_forward_and_backward(
    impl: str, name: str, causal: bool, kv_heads: int, params: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, impl, DeviceName.CPU)
    target = door.find(name, params=params, impl=impl)
    assert target.impl == impl
    assert check(target, shape(causal, kv_heads), Pass.TRAIN, "cpu") == {}


@each
def test_a_kernel_that_is_wrong_does_not(
    impl: str, name: str, causal: bool, kv_heads: int, params: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, impl, DeviceName.CPU)
    right = implementation(impl).call  # type: ignore[attr-defined]
    monkeypatch.setattr(implementation(impl), "call", lambda spec, q, k, v, *rest: right(spec, q, k, v.flip(1), *rest))
    target = door.find(name, params=params, impl=impl)
    # Before training the output of a layer of mamba2 is nearly its input alone: steps are small, what it skips is not.
    level = Level.CORE if name == "mamba2" else Level.ATTENTION
    assert "gate_forward" in check(target, shape(causal, kv_heads).replace(level=level), Pass.FORWARD, "cpu")


def test_it_is_counted_by_the_pairs_that_it_says_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """n = 40, 2 sequences, 4 heads of width 8: 4 d FLOPs a pair forward, 14 d with the backward.

    Pairs: all; 40 * 41 / 2; of a causal window of 6, 6 * 40 - (5 + 4 + 3 + 2 + 1); on both sides, 3 each and itself.
    """
    pairs = {
        ("dense", False): 1600,
        ("dense", True): 820,
        ("sliding_window", True): 6 * 40 - 15,
        ("sliding_window", False): 7 * 40 - 2 * 6,
    }
    install(monkeypatch, "flash_attn")
    for (name, causal), seen in pairs.items():
        target = door.find(name, params={"window": 6} if name == "sliding_window" else {}, impl="flash_attn")
        core = shape(causal, 2, 40).replace(level=Level.CORE)
        forward, train = (count(target, core, pass_).cost for pass_ in (Pass.FORWARD, Pass.TRAIN))
        assert forward.flops_core_executed == 2 * 4 * 4 * 8 * seen
        assert train.flops_core_executed == 2 * 4 * 14 * 8 * seen
        assert forward.exp_ops == 2 * 4 * seen
        assert forward.certificate is not None
        assert forward.certificate.backend == "flash_attn"
        # q and the output of 4 heads, k and v of 2, in two bytes; the sums of every row in four.
        assert train.saved_bytes == 2 * 40 * (2 * 4 * 8 + 2 * 2 * 8) * 2 + 2 * 4 * 40 * 4


def test_a_recurrence_is_counted_by_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """n = 100 is two chunks of 64: a row 4 d^2 through the state, 4 C d within its chunk, of 4 heads of width 8."""
    install(monkeypatch, "fla")
    core = shape(True, 4, 100).replace(level=Level.CORE)
    cost = count(door.find("linear", impl="fla"), core, Pass.FORWARD).cost
    assert cost.flops_core_executed == 2 * 4 * 128 * (4 * 8 * 8 + 4 * 64 * 8)
    assert cost.certificate is not None
    assert cost.certificate.tile == "64 x 64"


def test_kernels_of_recurrences_are_counted_by_what_chunks_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 tokens are 128 rows of 4 heads of width 8 in two sequences; C = 64, of rwkv7 16 (112 rows)."""
    install(monkeypatch, "fla")
    core = shape(True, 4, 100).replace(level=Level.CORE)
    inverse, small = 2 * (64 * 64 - 1) // 3, 2 * (16 * 16 - 1) // 3
    each_row = {
        "retnet": 128 * (4 * 64 + 2 * 64 * 16),
        "gla": 128 * (4 * 32 + 2 * 64 * 12),
        "gated_deltanet": 128 * (6 * 64 + 64 * 80 + inverse),
        "rwkv7": 112 * (8 * 64 + 16 * 144 + small),
    }
    for name, flops in each_row.items():
        forward, train = (count(door.find(name, impl="fla"), core, p).cost for p in (Pass.FORWARD, Pass.TRAIN))
        assert forward.flops_core_executed == 2 * 4 * flops
        assert train.flops_core_executed is not None
        assert 3 * 2 * 4 * flops < train.flops_core_executed < 4 * 2 * 4 * flops
    # What gated_deltanet keeps: q, k, v, beta and gates in two bytes, and 64 numbers a row and head.
    assert count(door.find("gated_deltanet", impl="fla"), core, Pass.TRAIN).cost.saved_bytes == 2 * 4 * 100 * 2 * (
        3 * 8 + 2 + 64
    )


@pytest.mark.parametrize(
    ("impl", "name", "causal", "change", "why"),
    [
        ("flash_attn", "reformer", False, {}, "it computes dense and sliding_window"),
        ("flash_attn", "dense", False, {"dtype": DType.FLOAT32}, "it takes float16 and bfloat16, not float32"),
        ("flash_attn", "dense", False, {"dim": 2048}, "its heads are at most 256 wide"),
        ("natten", "sliding_window", False, {}, "moves inwards at the ends"),
        ("natten", "sliding_window", True, {"kv_heads": 2}, "as many KV heads as query heads"),
        ("xformers", "sliding_window", True, {"dtype": DType.FLOAT32}, "under a window"),
        ("fla", "linear", False, {}, "no bidirectional form"),
        ("fla", "performer", True, {}, "of which these are written here: linear, retnet"),
    ],
)
def test_what_it_does_not_compute_it_says(
    impl: str, name: str, causal: bool, change: dict[str, object], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, impl, DeviceName.CPU)
    with pytest.raises(Unsupported, match=why):
        door.find(name, impl=impl).build(shape(causal, 4).replace(**change))


@pytest.mark.parametrize("impl", ["flash_attn", "xformers", "natten", "fla", "sdpa"])
@pytest.mark.parametrize("name", ["dense", "sliding_window", "linear"])
def test_a_users_pattern_of_a_schemes_name_is_not_that_scheme(
    impl: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if impl in PARTS:
        install(monkeypatch, impl, DeviceName.CPU)
    body = "from attnprof.pattern import Strided\n\n\ndef pattern(n, *, causal=False):\n    return Strided(3)\n"
    (tmp_path / f"{name}.py").write_text(body)
    with pytest.raises(Unsupported, match="it computes"):
        door.find(str(tmp_path / f"{name}.py"), impl=impl)


@pytest.mark.parametrize("impl", PARTS)
def test_what_is_not_installed_says_so(impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(name for found, name, *_ in FORMS if found == impl)
    remove(monkeypatch, impl)
    assert impl not in catalog.able(name, catalog.card(name))
    with pytest.raises(Unsupported, match="not installed: pip install") as refused:
        door.find(name, impl=impl)
    assert "--impl" in refused.value.hint


@pytest.mark.parametrize("impl", PARTS)
def test_on_another_device_it_is_counted_and_not_run(impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, impl)
    name, causal, kv_heads, params = next(form[1:] for form in FORMS if form[0] == impl)
    target, sizes = door.find(name, params=params, impl=impl), shape(causal, kv_heads)
    assert count(target, sizes, Pass.TRAIN).cost.flops_core_executed
    with pytest.raises(Unsupported, match="on cpu: needs CUDA"):
        check(target, sizes, Pass.FORWARD, "cpu")


def test_a_sweep_counts_gates_and_measures_it_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "flash_attn", DeviceName.CPU)
    child = Child()
    opened = child.answer(
        {"do": "open", "target": "dense", "params": {}, "impl": "flash_attn", "usage": Usage().to_json()}
    )
    assert opened["ok"]
    assert opened["name"] == "dense"
    point = Point("dense", shape(True, 4, 64), Pass.FORWARD, DeviceName.CPU, "flash_attn").to_json()
    assert child.answer({"do": "count", "point": point})["cost"]["certificate"]["backend"] == "flash_attn"
    gated = child.answer({"do": "gate", "point": point})
    assert gated["ok"]
    assert not gated["reasons"]
    measured = child.answer({"do": "measure", "point": point, "budget_s": 0.05})
    assert measured["measured"]["wall_s"]["median"] > 0


def test_nothing_of_theirs_is_imported_to_ask() -> None:
    code = (
        "import sys; from attnprof.targets import catalog\n"
        "[list(catalog.able(name, catalog.card(name))) for name in catalog.names()]\n"
        "print({'torch', 'flash_attn', 'fla', 'natten', 'xformers', 'triton'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_a_kernel_is_given_rows_first_and_gives_them_back() -> None:
    """The core's streams are `[b, h, n, d]`; what is called sees `[b, n, h, d]`."""
    from attnprof.contracts import Spec
    from attnprof.layers.outside_kernel import KernelWork, OutsideCore

    seen: list[torch.Size] = []

    def call(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        seen.extend(x.shape for x in (q, k, v))
        return q

    core = OutsideCore(Spec(Shape(5, dim=6, heads=2)), call, KernelWork(0, 0, 0, 0, ""), "mine")
    q = torch.randn(1, 2, 5, 3)
    assert torch.equal(core(q, q[:, :1], q[:, :1]), q)
    assert [tuple(size) for size in seen] == [(1, 5, 2, 3), (1, 5, 1, 3), (1, 5, 1, 3)]
