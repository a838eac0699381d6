"""What must be true of every scheme of the catalogue that computes something."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attnprof.counting import count
from attnprof.counting.built import build
from attnprof.layers.decisions import Decisions, keeping, replaying
from attnprof.targets import catalog, door
from attnprof.words import Level
from tests.laws.cases import Case, as_params, at_lengths, built, cases, gradients, is_quadratic, recurrent
from tests.laws.work import stated

ALL = as_params(cases())
CAUSAL = as_params([case for case in cases() if case.causal and not catalog.entry(case.name).card.leaks])
PLAIN = as_params([case for case in cases(varied=False) if case.impl != "masked"])
TOLERANCE = {"float32": 2e-5, "bfloat16": 0.1}
# A Fourier transform rounds over the whole length, so that what is zero is only nearly so.
ROUNDED = {"hyena": 1e-14}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("case", "n"), at_lengths(cases(), (1, 37, 100, 1000)))
def test_forward_and_every_gradient_equal_the_reference(case: Case, n: int) -> None:
    module, reference, inputs = built(case, case.shape(n))
    out, grads = gradients(module, inputs)
    expected, expected_grads = gradients(reference, inputs)
    assert out.isfinite().all()
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10 * max(1.0, float(theirs.abs().max())))


@pytest.mark.parametrize("case", PLAIN)
def test_the_core_alone_equals_the_reference(case: Case) -> None:
    module, reference, streams = built(case, case.shape(37).replace(level="core"))
    torch.testing.assert_close(module(*streams), reference(*streams), rtol=1e-10, atol=1e-10)


SHARED = [case for case in cases() if catalog.entry(case.name).card.kv_heads]


@pytest.mark.parametrize("case", as_params([case for case in SHARED if case.impl != "masked"]))
def test_the_core_alone_takes_fewer_kv_heads_at_its_stated_cost(case: Case) -> None:
    shape = case.shape(37, dim=32, heads=4, kv_heads=2)
    module, reference, streams = built(case, shape.replace(level="core"))
    torch.testing.assert_close(module(*streams), reference(*streams), rtol=1e-10, atol=1e-10)
    shape = shape.replace(dtype="float32")
    assert count(case.target, shape, "forward").cost.flops_core_executed == stated(case.target, shape)


@pytest.mark.parametrize("case", as_params(SHARED))
def test_query_heads_that_share_a_kv_head_equal_the_reference(case: Case) -> None:
    module, reference, inputs = built(case, case.shape(37, heads=4, kv_heads=2))
    out, grads = gradients(module, inputs)
    expected, expected_grads = gradients(reference, inputs)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(grads, expected_grads, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("case", PLAIN)
def test_sequences_of_a_batch_do_not_meet(case: Case) -> None:
    module, _, inputs = built(case, case.shape(37))
    alone = module(*(x[:1] for x in inputs))
    torch.testing.assert_close(module(*inputs)[:1], alone, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CAUSAL)
def test_a_causal_output_does_not_move_when_the_future_does(case: Case) -> None:
    module, _, (x, *rest) = built(case, case.shape(100))
    for cut in (1, 50, 67, 99):
        moved = x.clone()
        moved[:, cut:] = 3 * torch.randn_like(moved[:, cut:])
        before, after = module(x, *rest), module(moved, *rest)
        torch.testing.assert_close(after[:, :cut], before[:, :cut], rtol=0, atol=1e-12)
        assert not torch.equal(after[:, cut:], before[:, cut:])


@pytest.mark.parametrize("case", CAUSAL)
def test_a_causal_output_has_no_gradient_from_the_future(case: Case) -> None:
    module, _, (x, *rest) = built(case, case.shape(100))
    x.requires_grad_()
    out = module(x, *rest)
    for row in (0, 15, 50, 98):
        (grad,) = torch.autograd.grad(out[:, row].sum(), x, retain_graph=True)
        dead = catalog.entry(case.name).card.dead_queries and not out[:, row].any()
        assert row == 0 or dead or grad[:, : row + 1].abs().sum() > 0
        assert grad[:, row + 1 :].abs().max() <= ROUNDED.get(case.name, 0)


@pytest.mark.parametrize("level", ["core", "attention"])
@pytest.mark.parametrize("case", ALL)
def test_module_and_reference_make_nothing_on_another_device(case: Case, level: Level) -> None:
    """The gate runs both where the module lies; `meta` stands for any device but the CPU, and refuses its tensors."""
    module, reference, inputs = built(case, case.shape(100, "float32").replace(level=level))
    far = tuple(x.to("meta") for x in inputs)
    for made in (module, reference):
        assert made.to("meta")(*far).device.type == "meta"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("case", PLAIN)
def test_lower_precision_stays_within_its_tolerance(case: Case, dtype: str) -> None:
    """What tokens choose (buckets, clusters) is held: rounding may choose otherwise, which is no worse.

    In bfloat16 a unit of the network that sorts blocks may fall to the other side of its ReLU: one of its 32. And the
    norm behind a recurrence magnifies the rounding of a row that is nearly zero: one of a hundred numbers.
    """
    apart = {"sinkhorn": 1 / 32, **dict.fromkeys(recurrent(), 1 / 100)}
    allowed = apart.get(case.name, 0) if dtype == "bfloat16" else 0
    exact, _, inputs = built(case, case.shape(100, "float32", dim=32))
    exact = exact.double()
    rounded = case.target.build(case.shape(100, dtype, dim=32)).eval()
    rounded.load_state_dict(exact.state_dict())
    exact.load_state_dict(rounded.state_dict())
    inputs = tuple(x.to(getattr(torch, dtype)) if x.is_floating_point() else x for x in inputs)
    chosen = Decisions()
    with keeping(chosen):
        expected, expected_grads = gradients(exact, tuple(x.double() if x.is_floating_point() else x for x in inputs))
    with replaying(chosen):
        out, grads = gradients(rounded, inputs)
    assert out.dtype == getattr(torch, dtype)
    for ours, theirs in zip((out, *grads), (expected, *expected_grads), strict=True):
        far = (ours.double() - theirs).abs() > TOLERANCE[dtype] * max(1e-3, float(theirs.abs().max()))
        assert float(far.double().mean()) <= allowed


@pytest.mark.parametrize(("case", "n"), at_lengths([c for c in cases() if c.impl != "masked"], (1, 37, 256, 1000)))
def test_executed_flops_are_the_stated_closed_form(case: Case, n: int) -> None:
    shape = case.shape(n, "float32")
    closed = stated(case.target, shape)
    counted = count(case.target, shape, "forward").cost
    assert closed is not None
    assert counted.flops_core_executed == closed
    assert counted.selection_flops == case.target.flops_selection(shape)


class Watch(TorchDispatchMode):
    """Counts the calls, and remembers the largest tensor that any of them made."""

    calls = 0
    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.calls += 1
        for made in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(made, torch.Tensor):
                self.largest = max(self.largest, made.untyped_storage().nbytes() // made.element_size())
        return out


def watched(case: Case, n: int) -> Watch:
    """A train pass at length n on fake tensors, with the paper's parameters, watched."""
    target = door.find(case.name, params=case.params, impl=case.impl)
    shape = case.shape(n, "float32", batch=1, dim=512, heads=8)
    made = build(target, shape)
    with made.mode, Watch() as watch:
        gradients(made.module, made.inputs)
    return watch


def follows_n(case: Case) -> bool:
    """Whether sizes that the paper makes functions of n are left to it: fixed ones make its cost another."""
    params = catalog.entry(case.name).params
    return not any(params[name].follows for name in case.params)


# A row of blocks at distances 0, 1, 2, 4, ... has log n columns, and each is a call; so is each of log n levels.
MORE_CALLS = ("power-block=", "log_linear")
STREAMED = ("longnet", "nsa")
PAPERS = [c for c in cases() if c.impl != "masked" and follows_n(c) and not str(c).startswith(MORE_CALLS)]


@pytest.mark.parametrize("case", as_params(PAPERS, further=False))
def test_neither_calls_nor_tensors_grow_with_n_squared(case: Case) -> None:
    """The number of calls does not grow at all; nothing that is made has n * n elements, or grows as they do.

    What weighs compressed blocks goes through the queries in stretches, so that its calls grow as n; segments that grow
    with the text are more at a longer one.
    """
    short, long = (watched(case, n) for n in (16384, 65536))
    assert long.calls <= short.calls * (4 if case.name in STREAMED else 1)
    if not is_quadratic(case.name):
        assert long.largest < 65536**2
        assert long.largest <= 4**1.6 * short.largest
