"""What each group of a stack's layers costs: projections, core, FFN, what it keeps; the rows that add up to a total."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attnprof.contracts import Target
from attnprof.counting.added import CountedPart, count_parts, summed
from attnprof.counting.counted import count
from attnprof.layered_target import LayeredTarget, StackGroup
from attnprof.records import JsonDict, plain
from attnprof.shapes import Shape
from attnprof.words import PartRole, Pass

OF_GROUP = (
    *("flops_executed", "flops_core_executed", "flops_core_useful", "recurrence_flops", "selection_flops"),
    *("saved_bytes", "param_bytes"),
    *("state_bytes", "state_growth_bytes", "decode_read_bytes"),
)


def stack_rows(target: LayeredTarget, shape: Shape, pass_: Pass) -> dict[str, object]:
    """The groups of a stack in one pass, bottom first, and its ends: figures over all layers of a group.

    `proj_flops` is what the mixers execute outside their core and their selection; `ffn_flops_executed` the rest of
    their blocks (at level `block`), `ffn_flops_active` what of it tokens were sent to. A figure that is missing is
    null, and `reasons` says why.
    """
    found = count_parts(target, shape, pass_, partial(count, core=True))
    ends = [{"label": each.part.label, **_figures([each])[0]} for each in found if each.part.role is PartRole.ENDS]
    groups = target.groups(shape)
    owners = target.owners()
    return {
        "groups": [
            _row(group, [each for each in found if each.part.group == at], owners) for at, group in enumerate(groups)
        ],
        "ends": ends,
    }


def _row(group: StackGroup, found: list[CountedPart], owners: Mapping[int, int]) -> JsonDict:
    shape, mixer = group.shape, group.mixer
    figures, reasons = _figures(found)
    rest = [each for each in found if each.part.role is PartRole.REST]
    mixing = [each for each in found if each.part.role is PartRole.MIXER]
    of_mixer, of_rest = (summed(each)[0].get("flops_executed") if each else 0 for each in (mixing, rest))
    spare = group.ffn.get("kind") == "switch"
    if rest and spare:
        reasons = {**reasons, "ffn_flops_active": "its experts compute their capacity, whatever tokens they are sent"}
    core, chosen = figures["flops_core_executed"], figures["selection_flops"] or 0
    return {
        "label": group.label,
        "kind": None if mixer is None else mixer.name,
        "count": group.count,
        "layers": list(group.layers),
        "params": {} if mixer is None else dict(mixer.resolve(shape.n)),
        "impl": None if mixer is None else mixer.impl,
        "heads": shape.heads,
        "kv_heads": shape.groups,
        "head_dim": shape.d,
        "v_head_dim": shape.d_v,
        "ffn": dict(group.ffn),
        "shares_kv": [owners[at] for at in group.layers if at in owners] or None,
        "shares_weights": group.shares_weights,
        "proj_flops": None if of_mixer is None or core is None else of_mixer - core - chosen,
        "ffn_flops_executed": of_rest if rest else None,
        "ffn_flops_active": of_rest if rest and not spare else None,
        **figures,
        "reasons": reasons,
    }


def _figures(found: list[CountedPart]) -> tuple[JsonDict, dict[str, str]]:
    values, reasons = summed(found)
    if not any(each.part.role is PartRole.MIXER for each in found):  # without a mixer there is no core, and no state
        values |= dict.fromkeys(("flops_core_useful", "state_bytes", "state_growth_bytes", "decode_read_bytes"), 0)
    figures = {key: values.get(key) for key in OF_GROUP}
    return figures, {key: why for key, why in reasons.items() if key in OF_GROUP}


def rows_of(target: Target, shape: Shape, pass_: Pass) -> dict[str, object]:
    """The same as plain data."""
    assert isinstance(target, LayeredTarget)
    return {"n": shape.n, "pass": pass_, **plain(stack_rows(target, shape, pass_))}
