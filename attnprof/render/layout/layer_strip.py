"""The layers of a model as a strip: a cell a layer in the order of the stack, the FFN of each under it.

Where the cells would be too narrow, repeats are folded: each period is drawn once, with how often it stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attnprof.render.layout.display import Anchor, Caption, Display, Lettering, Role, Scale, Stroke
from attnprof.render.layout.lettering import text_width
from attnprof.render.palette import OTHER, Style

LONGEST_PERIOD = 12
NARROWEST_CELL = 5.0
WIDEST_CELL = 34.0
HIGH, LOW = 24.0, 7.0
SECOND = 0.55  # a second kind of one hue is this much lower
EXPERTS = "global"


@dataclass(frozen=True, slots=True)
class StripKind:
    """One kind of layers: its name, a family of hues for each mixer that stands side by side in it, its FFN.

    `experts` says how many are met (`4 of 32`), empty of a dense FFN; `bare` has none. `shares_kv`: it reads the keys
    and values of an earlier layer.
    """

    label: str
    families: tuple[str, ...]
    experts: str = ""
    bare: bool = False
    shares_kv: bool = False


@dataclass(frozen=True, slots=True)
class FoldedRun:
    """Layers that repeat: `times` a period of runs, each a count and the number of a kind."""

    times: int
    period: tuple[tuple[int, int], ...]

    @property
    def layers(self) -> tuple[int, ...]:
        """The kinds of one period, layer by layer."""
        return tuple(kind for count, kind in self.period for _ in range(count))


def folded(order: Sequence[int]) -> list[FoldedRun]:
    """The kinds of layers, bottom first, folded: from each place on the shortest period that covers most."""
    found, at = [], 0
    while at < len(order):
        size, times = max(
            ((p, _repeats(order, at, p)) for p in range(1, min(LONGEST_PERIOD, len(order) - at) + 1)),
            key=lambda each: (each[0] * each[1] if each[1] > 1 or each[0] == 1 else 0, -each[0]),
        )
        period = tuple(_runs(order[at : at + size]))
        if size == 1:
            found.append(FoldedRun(1, ((times, order[at]),)))
        else:
            found.append(FoldedRun(times, period))
        at += size * times
    return found


def _repeats(order: Sequence[int], at: int, size: int) -> int:
    first, times = order[at : at + size], 1
    while order[at + times * size : at + (times + 1) * size] == first and len(first) == size:
        times += 1
    return times


def _runs(kinds: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for at in range(1, len(kinds) + 1):
        if at == len(kinds) or kinds[at] != kinds[start]:
            yield at - start, kinds[start]
            start = at


def layer_strip(
    title: str,
    kinds: Sequence[StripKind],
    order: Sequence[int],
    hues: Mapping[str, Style],
    width: float,
    size: float = 11.5,
) -> Display:
    """The strip, `order` being the kind of each layer from the bottom; `hues` are the styles of the families."""
    texts, strokes, top = _legend(kinds, order, hues, width, size)
    narrow = width / len(order) < NARROWEST_CELL
    drawn: list[
        tuple[int, int | None]
    ] = []  # the kind of each cell, the number of its layer where one is drawn a layer
    notes: list[tuple[int, int, str]] = []
    if narrow:
        for run in folded(order):
            cells = run.layers if run.times > 1 else tuple(kind for _, kind in run.period)
            count = run.times if run.times > 1 else run.period[0][0]
            notes.append((len(drawn), len(drawn) + len(cells), f"× {count}"))
            drawn += [(kind, None) for kind in cells]
    else:
        drawn = [(kind, number) for number, kind in enumerate(order, start=1)]
    cell = min(width / len(drawn), WIDEST_CELL)
    gap = 1.0 if cell >= 4 else 0.5
    lower = _lower(kinds)
    for at, (kind, _) in enumerate(drawn):
        left, right = at * cell, (at + 1) * cell - gap
        strokes += _cell(kinds[kind], kind in lower, left, right, top, hues)
    bottom = top + HIGH + (0.0 if all(kind.bare for kind in kinds) else 2 + LOW)
    ticks = notes or [(k - 1, k, str(k)) for k in _numbered(len(drawn), cell, size)]
    texts += [
        Caption(round((a + b) * cell / 2, 1), bottom + size * 0.8, text, Lettering.TICK, Anchor.MIDDLE, size * 0.95)
        for a, b, text in ticks
    ]
    scale = Scale(0, len(drawn) * cell, 0, len(order), False, "layers")
    return Display(width, bottom + size * 1.6, title, scale, Scale(0, 1, 0, 1, False), tuple(strokes), (), tuple(texts))


def _lower(kinds: Sequence[StripKind]) -> set[int]:
    """The kinds that share the hue of an earlier one, which is not theirs but for KV or FFN."""
    seen: dict[tuple[str, ...], str] = {}
    return {k for k, kind in enumerate(kinds) if seen.setdefault(kind.families, kind.label) != kind.label}


def _numbered(count: int, cell: float, size: float) -> list[int]:
    """Numbers of layers that do not touch: 1, and every so many."""
    step = next(s for s in (1, 2, 4, 5, 8, 10, 16, 20, 32, 50, 100, 1000) if s * cell >= size * 2.6 or s >= count)
    return [1, *(k for k in range(step if step > 1 else 2, count + 1, step) if (k - 1) * cell >= size * 2)]


def _box(left: float, right: float, top: float, bottom: float) -> tuple[tuple[float, float], ...]:
    a, b, c, d = (round(v, 1) for v in (left, right, top, bottom))
    return (a, c), (b, c), (b, d), (a, d)


def _cell(
    kind: StripKind, lower: bool, left: float, right: float, top: float, hues: Mapping[str, Style]
) -> Iterator[Stroke]:
    """A layer: its mixers above each other, hollow where it has no keys and values of its own; its FFN below."""
    high = HIGH * SECOND if lower else HIGH
    start = top + HIGH - high
    share = high / max(len(kind.families), 1)
    for k, family in enumerate(kind.families):
        index = hues[family].index
        corners = _box(left, right, start + k * share, start + (k + 1) * share)
        if kind.shares_kv:
            yield Stroke((*corners, corners[0]), Role.LINE, index)
        else:
            yield Stroke(corners, Role.AREA, index)
    if not kind.bare:
        family = EXPERTS if kind.experts else OTHER
        yield Stroke(_box(left, right, top + HIGH + 2, top + HIGH + 2 + LOW), Role.AREA, hues[family].index)


def _legend(
    kinds: Sequence[StripKind], order: Sequence[int], hues: Mapping[str, Style], width: float, size: float
) -> tuple[list[Caption], list[Stroke], float]:
    """A swatch and a name for each kind of mixing and of FFN, in rows as wide as the strip; and where they end."""
    texts: list[Caption] = []
    strokes: list[Stroke] = []
    lower = _lower(kinds)
    entries: dict[str, tuple[StripKind, bool, int]] = {}
    for k, kind in enumerate(kinds):
        if kind.families:
            name = kind.label + (", no keys of its own" if kind.shares_kv else "")
            held, low, count = entries.get(
                name, (StripKind(kind.label, kind.families, "", True, kind.shares_kv), k in lower, 0)
            )
            entries[name] = held, low, count + order.count(k)
    for k, kind in enumerate(kinds):
        if not kind.bare:
            name = f"experts, {kind.experts} a token" if kind.experts else "dense FFN"
            held, low, count = entries.get(name, (StripKind("", (), kind.experts), False, 0))
            entries[name] = held, low, count + order.count(k)
    x, y = 0.0, 0.0
    for name, (kind, low, count) in entries.items():
        text = f"{count} × {name}"
        need = size * 1.3 + text_width(text, size) + size * 1.4
        if x and x + need > width:
            x, y = 0.0, y + size * 1.7
        top = y + size * 0.25
        scaled = [_shrunk(s, x, top, size) for s in _cell(kind, low, 0, HIGH, 0, hues)]
        strokes += scaled
        texts.append(Caption(x + size * 1.3, y + size * 0.8, text, Lettering.NOTE, size=size))
        x += need
    return texts, strokes, y + size * 2.3


def _shrunk(stroke: Stroke, x: float, y: float, size: float) -> Stroke:
    """A cell at the size of a letter."""
    share = size / HIGH
    down = 0.0 if stroke.places[0][1] < HIGH else (HIGH - LOW) / 2 - HIGH - 2  # an FFN alone stands in the middle
    places = tuple((round(x + a * share, 1), round(y + (b + down) * share, 1)) for a, b in stroke.places)
    return Stroke(places, stroke.role, stroke.series)
