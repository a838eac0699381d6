"""Heads that add nothing: every edge of theirs is another head's as well."""

from __future__ import annotations

from attnprof.graph.blocked import BlockConstant, union
from attnprof.graph.layered import LayerRelation, Slotted
from attnprof.graph.subject import Facts, Relation, Subject

MOST = 64


def idle_heads(subject: Subject) -> Facts:
    """Heads without which the union over the heads of their layer keeps all its edges.

    Heads that share one pattern are one: none of them is idle for the others' sake.
    """
    pattern = subject.pattern
    if pattern.heads == 1:
        return Facts({"idle_heads": []})
    if subject.kernel is not None or subject.slotted:
        why = "a head is not its edges alone: it has slots, or a kernel"
        return Facts({"idle_heads": None}, reasons={"idle_heads": why})
    if pattern.heads * pattern.layers > MOST:
        return Facts({"idle_heads": None}, reasons={"idle_heads": f"more than {MOST} heads in all"})
    found = [
        {"layer": layer, "head": head}
        for layer in range(pattern.layers)
        for head in _idle(subject.heads(layer), subject.stack.parts[layer])
    ]
    return Facts({"idle_heads": found})


def _idle(heads: list[Relation], whole: LayerRelation) -> list[int]:
    kinds = {id(head): head for head in heads}
    if len(kinds) == 1 or isinstance(whole, Slotted):
        return []
    idle = {name for name in kinds if united([k for other, k in kinds.items() if other != name]) == whole.edges}
    return [at for at, head in enumerate(heads) if id(head) in idle]


def united(parts: list[Relation]) -> int:
    """Distinct edges of several relations together."""
    blocks = [part for part in parts if isinstance(part, BlockConstant)]
    whole = union(blocks) if len(blocks) == len(parts) else None
    if whole is not None:
        return whole.edges
    first, *rest = (part.tokens() if isinstance(part, BlockConstant) else part for part in parts)
    return first.joined(*rest).disjoint().edges
