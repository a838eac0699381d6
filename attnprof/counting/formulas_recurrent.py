"""Formulas of recurrent layers that one operator runs: each gate's matrices are applied to every token.

Cells that are written in single operators (GRU, RNN and their cells on a CPU) are counted by those.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import torch
from torch import Tensor

from attnprof.counting.registry import OperatorWork, numel, register_by_name

aten = torch.ops.aten


def recurrence(x: Tensor, weights: Iterable[Tensor]) -> int:
    """FLOPs of the weights of all gates, applied once a token of `x [.., width]`; vectors among them are biases."""
    tokens = numel(x.shape[:-1])
    return 2 * tokens * sum(numel(w.shape) for w in weights if w.dim() == 2)


def cells(x: Tensor, width: int, flops: int) -> OperatorWork:
    """With the elementwise work of an LSTM's cell: five exponentials a unit, sums of the gates and of the state."""
    units = numel(x.shape[:-1]) * width
    return OperatorWork(flops, exp_ops=5 * units, arith_ops=12 * units)


@register_by_name(aten.mkldnn_rnn_layer)
def one_layer(given: SimpleNamespace, out: object) -> OperatorWork:
    """One direction of one LSTM layer in oneDNN: W_ih `[4 h, width]` and W_hh `[4 h, h]` for every token."""
    return cells(given.input, given.hidden_size, recurrence(given.input, (given.weight0, given.weight1)))


@register_by_name(aten.mkldnn_rnn_layer_backward)
def one_layer_backward(given: SimpleNamespace, out: object) -> int:
    """Gradients of the input, the state and both weights: twice the forward."""
    return 2 * recurrence(given.input, (given.weight1, given.weight2))


@register_by_name(aten._cudnn_rnn, aten.miopen_rnn)
def layers(given: SimpleNamespace, out: object) -> int:
    """All layers and directions, the projections of an LSTM's state among the weights."""
    return recurrence(given.input, given.weight)


@register_by_name(aten._cudnn_rnn_backward, aten.miopen_rnn_backward)
def layers_backward(given: SimpleNamespace, out: object) -> int:
    """Back through time always, the weights' gradients where they are asked for."""
    return recurrence(given.input, given.weight) * (1 + int(given.output_mask[3]))


@register_by_name(aten._lstm_mps)
def metal(given: SimpleNamespace, out: object) -> int:
    """All layers of an LSTM on Metal."""
    return recurrence(given.input, given.params)


@register_by_name(aten.lstm_mps_backward)
def metal_backward(given: SimpleNamespace, out: object) -> int:
    """Its backward."""
    return 2 * recurrence(given.input, given.params)
