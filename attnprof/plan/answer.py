"""What `attnprof cost` answers of one target: rows of certified numbers, closed forms, what the peak is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from attnprof.contracts import Target
from attnprof.errors import AttnprofError
from attnprof.layered_target import LayeredTarget
from attnprof.plan.count_service import CountKind, CountService, CountTask, ShareWatch
from attnprof.plan.ours import is_of_catalogue
from attnprof.plan.roofline import DevicePeaks, Roofline, must_move
from attnprof.quantities import costed
from attnprof.records import JsonDict, JsonObject, Point
from attnprof.shapes import Shape
from attnprof.usercode import causality_seen
from attnprof.words import DeviceName, Pass

Refused = Callable[[AttnprofError], object]


@dataclass(frozen=True, slots=True)
class CostQuestion:
    """A target at several lengths and passes, and which parts of the answer are asked for.

    `source` names a target that is not of the catalogue, and whose counts are not remembered (but those of a stack of
    its schemes are); `sizes` are symbols of its forms. `peaks`: of the device whose least times are asked for. Of a
    user's code, `call` says how it is called, and `unknown` names the labels that nobody knows to be true of it.
    """

    target: Target
    shape: Shape
    lengths: Sequence[int]
    passes: Sequence[Pass]
    sizes: tuple[str, ...] = ()
    source: str | None = None
    forms: bool = False
    modules: bool = False
    memory: bool = False
    peaks: DevicePeaks | None = None
    call: str | None = None
    unknown: tuple[str, ...] = ()
    service: CountService = field(default_factory=CountService)

    def task(self, kind: CountKind, n: int, pass_: Pass | None = None) -> CountTask:
        """What has to be counted for one part of the answer."""
        sizes = self.sizes if kind == "forms" else ()
        kept = self.source is None or is_of_catalogue(self.target)
        return CountTask(kind, self.target, self.shape.replace(n=n), pass_, sizes, kept)

    @property
    def layered(self) -> bool:
        """Whether the target is a stack, of which each group has a row."""
        return isinstance(self.target, LayeredTarget)

    @property
    def points(self) -> list[tuple[int, Pass]]:
        """Each length in each pass."""
        return [(n, pass_) for n in self.lengths for pass_ in self.passes]

    @property
    def whole(self) -> list[tuple[int, Pass]]:
        """The points whose parts can be told: all but those of decoding."""
        return [(n, pass_) for n, pass_ in self.points if pass_ != Pass.DECODE]

    def tasks(self) -> Iterator[CountTask]:
        """All that has to be counted, what takes longest first."""
        if self.forms:
            yield self.task("forms", max(self.lengths))
        yield from (self.task("row", *point) for point in self.points)
        yield from (self.task("groups", *point) for point in self.points if self.layered)
        yield from (self.task("modules", *point) for point in self.whole if self.modules)
        yield from (self.task("peak", *point) for point in self.whole if self.memory)

    def answer(self) -> JsonDict:
        """The answer as JSON has it. Raises `AttnprofError` for a target that cannot be counted so."""
        found: dict[str, object] = {"target": self.target.name, "point": point(self), "table": table(self)}
        if self.forms:
            found.update(self.service.answer(self.task("forms", max(self.lengths))))
        if self.layered:
            found["groups"] = [self.service.answer(self.task("groups", *point)) for point in self.points]
        if self.modules:
            found["modules"] = [
                {"n": n, "pass": pass_, "flops": self.service.answer(self.task("modules", n, pass_))}
                for n, pass_ in self.whole
            ]
        if self.memory:
            found["memory"] = [{"n": n, "pass": pass_, **peak_parts(self, n, pass_)} for n, pass_ in self.whole]
        if self.peaks:
            found["roofline"] = rooflines(self, self.peaks, table(self))
        return found


def answers(
    questions: Sequence[CostQuestion], service: CountService, watch: ShareWatch, refused: Refused
) -> list[JsonDict]:
    """The answers of questions that share a service, counted together; `refused` is told of each that has none."""
    service.prepare([task for question in questions for task in question.tasks()], watch)
    found = []
    for question in questions:
        try:
            found.append(question.answer())
        except AttnprofError as error:
            refused(error)
    return found


def table(question: CostQuestion) -> list[dict[str, object]]:
    """One row a length and pass; a combination that the scheme does not define has a reason in place of numbers."""
    return [row(question, n, pass_) for n, pass_ in question.points]


def row(question: CostQuestion, n: int, pass_: Pass) -> JsonDict:
    """The row of one length and pass."""
    task = question.task("row", n, pass_)
    counted = question.service.answer(task)
    causal = causality_seen(counted["flags"]) if "causal" in question.unknown else task.shape.causal
    return {
        "n": n,
        "pass": pass_,
        "impl": question.target.impl,
        "causal": causal,
        **{quantity.key: quantity.of_cost(counted["cost"]) for quantity in costed()},
        **{name: counted["cost"].get(name) for name in ("method", "certificate")},
        **{k: counted[k] for k in ("reasons", "flags")},
    }


def peak_parts(question: CostQuestion, n: int, pass_: Pass) -> Mapping[str, int]:
    """What memory holds at the peak of one pass, part by part."""
    return question.service.answer(question.task("peak", n, pass_))


def rooflines(question: CostQuestion, peaks: DevicePeaks, rows: Sequence[JsonObject]) -> list[JsonDict]:
    """The least time of every row on a device."""
    found = []
    for row in rows:
        if row["flops_executed"] is not None and row["pass"] != Pass.DECODE:
            least = must_move(row["pass"], peak_parts(question, row["n"], row["pass"]))
            line = Roofline(peaks.device, row["flops_executed"], row["moved_bytes"], least, *peaks[1:])
            found.append({"n": row["n"], "pass": row["pass"], **line.to_json()})
    return found


def point(question: CostQuestion) -> dict[str, object]:
    """The point that all rows share, at the first length."""
    shape = question.shape.replace(n=question.lengths[0])
    target = question.target
    params = target.resolve(shape.n)
    return Point(
        target.name,
        shape,
        question.passes[0],
        DeviceName.NONE,
        target.impl,
        target.layers,
        params,
        source=question.source,
        unknown=question.unknown,
        call=question.call,
    ).to_json()
