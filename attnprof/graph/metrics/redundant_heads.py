"""Redundant heads: every edge of theirs is another head's as well."""

from __future__ import annotations

from attnprof.graph.blocked import united
from attnprof.graph.relation import Relation
from attnprof.graph.subject import Facts, Subject

MOST = 64


def redundant_heads(subject: Subject) -> Facts:
    """Heads without which the union over the heads of their layer keeps all its edges.

    Heads that share one pattern are one: none of them is redundant for the others' sake.
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
        for head in _redundant(subject.heads(layer), subject.stack.parts[layer])
    ]
    return Facts({"idle_heads": found})


def _redundant(heads: list[Relation], whole: Relation) -> list[int]:
    kinds = {id(head): head for head in heads}
    if len(kinds) == 1:
        return []
    others = {name: [head for other, head in kinds.items() if other != name] for name in kinds}
    spare = {name for name, rest in others.items() if united(rest).edges == whole.edges}
    return [at for at, head in enumerate(heads) if id(head) in spare]
