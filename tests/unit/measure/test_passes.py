import pytest
import torch
from torch import Tensor, nn

from attnprof.errors import Unsupported
from attnprof.measure.passes import passage


class Spy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.seen: list[tuple[bool, bool, bool]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        self.seen.append((torch.is_grad_enabled(), x.requires_grad, self.training))
        return x * self.weight, None


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cached: list[int] = []

    def state(self, n: int) -> list[Tensor]:
        return [torch.zeros(n, 3)]

    def step(self, x: Tensor, state: list[Tensor]) -> Tensor:
        self.cached.append(state[0].shape[0])
        assert x.shape == (2, 1, 3)
        state[0] = torch.cat((state[0], x[0]))
        return state[0].sum(0)


def test_forward_keeps_no_graph_and_evaluates() -> None:
    spy = Spy()
    ready = passage(spy, (torch.ones(2, 3, requires_grad=True),), "forward")
    ready.run()
    assert spy.seen[-1] == (False, False, False)
    assert ready.names == ("forward",)


def test_training_gives_fresh_gradients_to_inputs_and_parameters() -> None:
    spy = Spy()
    x = torch.ones(2, 3)
    ready = passage(spy, (x,), "train")
    assert spy.weight.grad is None
    grads = []
    for _ in range(3):
        ready.run()
        assert spy.weight.grad is not None
        grads.append(spy.weight.grad.clone())
    assert torch.equal(grads[0], grads[2])
    assert spy.seen[-1] == (True, True, True)
    assert not x.requires_grad
    ready.after()
    assert spy.weight.grad is None


def test_training_runs_forward_and_backward_as_two_steps() -> None:
    spy = Spy()
    ready = passage(spy, (torch.ones(2, 3),), "train")
    ready.before()
    ready.steps[0]()
    assert spy.weight.grad is None
    ready.steps[1]()
    assert spy.weight.grad is not None
    assert ready.names == ("forward", "backward")


def test_decoding_starts_from_a_fresh_state_each_time() -> None:
    decoder = Decoder()
    ready = passage(decoder, (torch.ones(2, 7, 3),), "decode")
    for _ in range(3):
        ready.run()
    assert decoder.cached == [7] * 4


def test_a_module_without_a_state_does_not_decode() -> None:
    with pytest.raises(Unsupported, match="defines no decoding step"):
        passage(nn.Linear(3, 3), (torch.ones(1, 2, 3),), "decode")
