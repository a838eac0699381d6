import dataclasses

import pytest
import torch
from torch import Tensor, nn

from attnprof.contracts import Target
from attnprof.measure.gate import check, distance, precisely
from attnprof.measure.sampled_rows import keys_of, rows_off
from attnprof.pattern import Band
from attnprof.shapes import Shape
from tests.fakes.targets import CARD, FakeTarget, Window

SHAPE = Shape(300, dim=16, heads=2, causal=True)


class WrongScale(Window):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q * 1.01, k, v)


class WrongGradient(Window):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k.detach(), v)


class ReadsAhead(Window):
    """Also adds the mean over all tokens: what the reference would do too, were it as wrong."""

    def forward(self, *streams: Tensor) -> Tensor:
        return super().forward(*streams) + streams[0].mean(-2, keepdim=True)


class WrongBeyond(Window):
    """Right at small n only."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, v) * (1.5 if q.shape[-2] > 200 else 1.0)


class Overflows(Window):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, v) / 0.0


class BadGradient(Window):
    def mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return super().mix(q, k, v) + (q - q.detach()).abs().sqrt()


def wrong(kind: type[Window], **more: object) -> FakeTarget:
    return FakeTarget(wrong=lambda shape: kind(shape, 8), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("causal", [True, False], ids=["causal", "bidirectional"])
@pytest.mark.parametrize("n", [1, 40, 300, 1500])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_right_scheme_passes(causal: bool, n: int, dtype: str) -> None:
    assert check(FakeTarget(), SHAPE.replace(n=n, causal=causal, dtype=dtype)) == {}


WRONG = {
    "forward": (wrong(WrongScale), "gate_forward"),
    "gradient": (wrong(WrongGradient), "gate_gradient"),
    "only at the timed length": (wrong(WrongBeyond), "gate_rows"),
    "pattern reads ahead": (wrong(ReadsAhead), "gate_causal"),
}


@pytest.mark.parametrize(("target", "reason"), WRONG.values(), ids=WRONG)
def test_each_kind_of_mistake_is_found_by_its_check(target: FakeTarget, reason: str) -> None:
    found = check(target, SHAPE)
    assert reason in found
    assert "n = " in found[reason]


def test_a_gradient_is_not_asked_of_a_forward_pass() -> None:
    assert check(wrong(WrongGradient), SHAPE, "forward") == {}


def test_sampled_rows_find_what_only_a_long_sequence_shows() -> None:
    found = check(wrong(WrongBeyond), SHAPE.replace(n=1500))
    assert set(found) == {"gate_rows"}


def test_a_leak_that_the_card_names_is_let_through() -> None:
    both = FakeTarget(wrong=lambda shape: ReadsAhead(shape, 8), card=dataclasses.replace(CARD, leaks=("the mean",)))
    assert "gate_causal" not in check(both, SHAPE)


USERS = {
    "right": (FakeTarget(oracle=False), {}),
    "not finite": (wrong(Overflows, oracle=False), {"gate_finite": "not finite at n = 64: output"}),
    "reads ahead": (wrong(ReadsAhead, oracle=False), {"gate_causal"}),
}


@pytest.mark.parametrize(("target", "reasons"), USERS.values(), ids=USERS)
def test_a_module_without_reference_is_held_to_finiteness_and_causality(target: FakeTarget, reasons: object) -> None:
    found = check(target, SHAPE, "forward")
    assert (found if isinstance(reasons, dict) else set(found)) == reasons


def test_infinite_gradients_are_found_in_training_only() -> None:
    target = wrong(BadGradient, oracle=False)
    assert check(target, SHAPE, "forward") == {}
    assert "gradient of input 0" in check(target, SHAPE, "train")["gate_finite"]


class Cached(Window):
    """Decodes by keeping every token; `slip` makes the step wrong."""

    slip = 0.0

    def prefill(self, x: Tensor) -> Tensor:
        return x

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        whole = torch.cat((state, x), -2)
        return self(whole)[..., -1:, :] + self.slip, whole


class Slipping(Cached):
    slip = 0.01


def test_a_decoding_step_must_continue_the_forward() -> None:
    assert check(wrong(Cached), SHAPE, "decode") == {}
    assert set(check(wrong(Slipping), SHAPE, "decode")) == {"gate_decode"}
    assert check(wrong(Slipping), SHAPE, "forward") == {}


def test_flex_is_compared_where_and_how_it_can_run() -> None:
    assert precisely(FakeTarget(impl="flex"), "train", "cpu") == ("float32", "cpu", "forward")
    assert precisely(FakeTarget(impl="flex"), "train", "cuda") == ("float32", "cuda", "train")
    assert precisely(FakeTarget(impl="gather"), "train", "cuda") == ("float64", "cpu", "train")
    wrong_gradient = FakeTarget(impl="flex", wrong=lambda shape: WrongGradient(shape, 8))
    assert check(wrong_gradient, SHAPE) == {}
    assert set(check(dataclasses.replace(wrong_gradient, impl=None), SHAPE)) == {"gate_gradient"}


def test_keys_of_a_row_are_those_of_its_slices() -> None:
    assert keys_of(Band(3, 0).slices(10), 5).tolist() == [2, 3, 4, 5]


def test_rows_are_not_judged_where_they_are_no_single_softmax() -> None:
    assert rows_off(FakeTarget(layers=2), SHAPE, "cpu") is None
    assert rows_off(FakeTarget(card=dataclasses.replace(CARD, maths="own")), SHAPE, "cpu") is None


def test_grouped_heads_read_their_own_keys() -> None:
    class Grouped(FakeTarget):
        def inputs(self, shape: Shape) -> tuple[Tensor, ...]:
            q, k, v = super().inputs(shape)
            return q, k[:, ::2], v[:, ::2]

        def build(self, shape: Shape) -> nn.Module:
            window = super().build(shape)
            mix = window.mix
            window.mix = lambda q, k, v: mix(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))
            return window

    off = rows_off(Grouped(), SHAPE.replace(heads=4, kv_heads=2), "cpu")
    assert off is not None
    assert off < 1e-6


def test_distance_is_relative_and_not_a_number_where_values_are_not() -> None:
    assert distance(torch.tensor([1.0, 8.5]), torch.tensor([1.0, 8.0])) == 0.0625
    assert not distance(torch.tensor([float("nan")]), torch.tensor([1.0])) <= 1


def test_the_fake_is_a_target() -> None:
    assert isinstance(FakeTarget(), Target)
