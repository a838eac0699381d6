"""Transformer-XL and Compressive Transformer: what memory may and may not pass on."""

from __future__ import annotations

import pytest
import torch

from attnprof.shapes import Shape
from attnprof.targets import door
from attnprof.targets.scheme import CatalogTarget

SMALL = {"segment": 16, "memory": 16}


def found(name: str, **params: int | bool) -> CatalogTarget:
    """A target at small sizes."""
    target = door.find(name, params={**SMALL, **params})
    assert isinstance(target, CatalogTarget)
    return target


@pytest.mark.parametrize("name", ["transformer_xl", "compressive"])
def test_memory_is_read_but_passes_no_gradient_on(name: str) -> None:
    params = {"compressed": 8} if name == "compressive" else {}
    shape = Shape(n=80, dim=16, heads=2, causal=True, dtype="float64")
    target = found(name, **params)
    torch.manual_seed(0)
    layer, (x,) = target.build(shape), target.inputs(shape)
    x.requires_grad_()
    (grad,) = torch.autograd.grad(layer(x)[:, 70].sum(), x)
    assert grad[:, 64:71].abs().sum() > 0
    assert grad[:, :64].abs().max() == 0
    changed = x.detach().clone()
    changed[:, 50] += 1
    assert (layer(changed) - layer(x))[:, 70].abs().max() > 1e-6


@pytest.mark.parametrize("name", ["transformer_xl", "compressive"])
def test_memory_trains_the_projections_of_keys_and_values(name: str) -> None:
    """The gradient of the weights is that of a layer whose memory is not cut off from them."""
    shape = Shape(n=48, dim=16, heads=2, causal=True, dtype="float64")
    target = found(name, **({"compressed": 0} if name == "compressive" else {}))
    torch.manual_seed(0)
    layer, (x,) = target.build(shape), target.inputs(shape)
    weights = [p for key, p in layer.named_parameters() if key.endswith("to_k.weight")]
    (grad,) = torch.autograd.grad(layer(x)[:, 40].sum(), weights)
    with torch.no_grad():
        weights[0][0, 0] += 1e-6
        above = layer(x)[:, 40].sum()
        weights[0][0, 0] -= 2e-6
        below = layer(x)[:, 40].sum()
    torch.testing.assert_close(grad[0, 0], (above - below) / 2e-6, rtol=1e-5, atol=1e-7)


def test_without_compressed_memory_it_is_transformer_xl() -> None:
    shape = Shape(n=70, batch=2, dim=16, heads=2, causal=True, dtype="float64", level="core")
    plain, compressive = found("transformer_xl"), found("compressive", compressed=0)
    core, other, streams = plain.build(shape), compressive.build(shape), plain.inputs(shape)
    with torch.no_grad():
        for name in ("u", "w", "to_r.weight"):
            other.get_parameter(f"relative.{name}").copy_(core.get_parameter(f"relative.{name}"))
        torch.testing.assert_close(core(*streams), other(*streams))


def test_a_query_reaches_as_far_as_its_memories() -> None:
    target = found("compressive", compressed=8, rate=2)
    shape = Shape(n=128, dim=16, heads=2, causal=True, dtype="float64")
    torch.manual_seed(0)
    with torch.no_grad():
        layer, (x,) = target.build(shape), target.inputs(shape)
        before = layer(x)[:, 120]
        reached = []
        for at in range(128):
            changed = x.clone()
            changed[:, at] += 1
            reached.append(bool((layer(changed)[:, 120] - before).abs().max() > 0))
    first = 112 - 16 - 8 * 2
    assert reached == [first <= at <= 120 for at in range(128)]
    assert [bool(edge) for edge in target.graph(shape).dense()[120]] == reached


@pytest.mark.parametrize("same_length", [False, True])
def test_edges_are_counted_in_closed_form(same_length: bool) -> None:
    target = found("transformer_xl", same_length=same_length, memory=24)
    for n in (1, 16, 37, 100):
        shape = Shape(n=n, causal=True)
        assert target.edges(shape) == target.graph(shape).edges()


def test_segments_vanish_where_every_query_has_as_many_keys() -> None:
    shape = Shape(n=64, batch=2, dim=16, heads=2, causal=True, dtype="float64")
    short, long = found("transformer_xl", same_length=True), found("transformer_xl", same_length=True, segment=32)
    layer, other, (x,) = short.build(shape), long.build(shape), short.inputs(shape)
    other.load_state_dict(layer.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(layer(x), other(x))
