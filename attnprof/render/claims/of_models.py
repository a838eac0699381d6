"""What a model page says: claims about one model at one length and pass, each with the points that it rests on.

Every figure is counted or read from a config, at batch 1; none is measured. The words are in `model_claims.j2`.
"""

from __future__ import annotations

from collections.abc import Sequence

from attnprof.quantities import FLOPS, STATE
from attnprof.records import JsonObject
from attnprof.render.claims import told
from attnprof.render.claims.evidence import Evidence, PointState
from attnprof.render.claims.fact import Claim
from attnprof.render.subjects.model_subject import ModelSubject


def point(subject: ModelSubject, n: int, value: float, *, state: bool = False) -> Evidence:
    """A counted figure of a model as evidence: of its FLOPs, or of what a sequence keeps."""
    return Evidence(subject.label, "", n, STATE if state else FLOPS, PointState.COUNTED, value)


def spent(subject: ModelSubject, pass_: str, n: int) -> Claim:
    """What a token costs, and attention's share of it; what a sequence keeps."""
    work, kept = subject.work.get((pass_, n)), subject.kept.get(n)
    points = [] if work is None else [point(subject, n, work.total), point(subject, n, work.mixing)]
    points += [] if kept is None else [point(subject, n, kept.bytes, state=True)]
    why = subject.reasons.get(pass_, "no figure of it was asked")
    facts = {"subject": subject, "pass": pass_, "n": n, "work": work, "kept": kept, "why": why}
    return Claim("spent", facts, tuple(points), lengths=(n,))


def passing(subject: ModelSubject, pass_: str) -> Claim:
    """From which n on attention costs as much as FFN and router; and without the choice of keys, where there is one."""
    lengths = tuple(n for p, n in subject.work if p == pass_)
    points = tuple(point(subject, n, subject.work[pass_, n].mixing) for n in lengths)
    ends = (min(lengths, default=0), max(lengths, default=0))
    alone = subject.passing(pass_, selection=False) if subject.selects else None
    facts = {"found": subject.passing(pass_), "alone": alone, "pass": pass_, "ends": ends}
    return Claim("passing", facts, points, lengths=lengths)


def made_of(subject: ModelSubject) -> Claim:
    """The layers in the order of the stack, repeats folded; parameters in all, and those that a token meets."""
    kinds = subject.kinds
    mixed = any(kind.strip.experts for kind in kinds) and not all(kind.strip.experts for kind in kinds)
    facts = {"subject": subject, "runs": subject.folded, "kinds": kinds, "layers": len(subject.order), "mixed": mixed}
    return Claim("made_of", facts)


def seen(subject: ModelSubject) -> Claim:
    """How far back a token sees, after the first layer and until everything is seen."""
    whole, direct = subject.sees_all(), subject.sees_all(directly=True)
    state = (subject.seen[whole - 1].through or 0) if whole and whole != direct else 0
    facts = {
        "subject": subject,
        "whole": whole,
        "direct": direct,
        "state": state,
        "why": subject.reasons.get("seen", ""),
    }
    return Claim("seen", facts, lengths=(subject.seen_at,) if subject.seen_at else ())


def allocated(subject: ModelSubject, n: int) -> Claim:
    """What engines allocate for a sequence of n tokens beside what it keeps exactly."""
    kept = subject.kept.get(n)
    facts = {"n": n, "kept": kept, "why": subject.reasons.get("engines", "")}
    points = () if kept is None else (point(subject, n, kept.bytes, state=True),)
    return Claim("allocated", facts, points, lengths=(n,))


def fitting(subject: ModelSubject, memory: str, weights: str) -> Claim:
    """What fits in the memory of one device: the longest sequence by pass, the most sequences of a length."""
    facts = {"limit": subject.limit, "memory": memory, "weights": weights, "why": subject.reasons.get("limit", "")}
    return Claim("fitting", facts)


def formula(row: JsonObject, n: int) -> Claim:
    """What a framework's formula says beside the exact count, and why it is off."""
    return Claim("formula", {"row": row, "n": n}, lengths=(n,))


def formulas(subject: ModelSubject, n: int) -> Claim:
    """Between which ratios to the exact count the frameworks' formulas lie, and how many have one."""
    found = subject.frameworks.get(n, ())
    spans = {
        what: (min(known), max(known), len(known))
        for what, key in (("core", "core_ratio"), ("model", "ratio"))
        if (known := [row[key] for row in found if row[key] is not None])
    }
    return Claim("formulas", {"n": n, "spans": spans, "count": len(found)}, lengths=(n,))


def drawn(name: str, subjects: Sequence[ModelSubject], pass_: str, n: int) -> Claim:
    """What a figure shows, for who cannot see it."""
    points = tuple(point(s, n, s.work[pass_, n].total) for s in subjects if (pass_, n) in s.work)
    sight = {s.label: told.plain(told.said(seen(s))) for s in subjects} if name == "reach" else {}
    facts = {"subjects": subjects, "pass": pass_, "n": n, "sight": sight}
    return Claim(f"drawn_{name}", facts, points, lengths=(n,))
