"""The cells of the leaderboard: what stands in a row, as the markup that both the first paint and the script set."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from attnprof.flags import phrases
from attnprof.quantities import WALL, Quantity, Side
from attnprof.records import JsonObject
from attnprof.render.claims import told
from attnprof.render.claims.choice import Candidate, Ranking
from attnprof.render.claims.crossings import CrossingClaim
from attnprof.render.claims.evidence import ByLength, Evidence, PointState
from attnprof.render.claims.sight import Sight
from attnprof.render.claims.versus import Versus
from attnprof.render.layout.display import Scale
from attnprof.render.numbers import interval, quantity
from attnprof.render.wording import state_text, state_word
from attnprof.units import format_length, format_value

SPARK = (168.0, 52.0)  # twice its size on the page, so that whole numbers are exact enough
BAR = 116
MOST_TIMES = 64.0


@dataclass(frozen=True, slots=True)
class BoardCell:
    """Markup, and the number that it sorts by (None: last)."""

    html: str
    value: float | None = None

    @property
    def key(self) -> str:
        """The number as an attribute holds it; empty where there is none."""
        return "" if self.value is None else f"{self.value:.6g}"

    def packed(self) -> list[object]:
        """As the script takes it."""
        return [self.html, None if self.value is None else float(f"{self.value:.6g}")]


def flagged(flags: tuple[str, ...]) -> str:
    """The word that a number is doubtful, with why."""
    return f' <abbr title="{escape(phrases(flags))}">flagged</abbr>' if flags else ""


def cost(at: Evidence) -> BoardCell:
    """A value with its interval under it, or the word for why there is none."""
    if not at.state.valued or at.value is None:
        lacking = at.state is PointState.ABSENT and at.metric.side is Side.COST
        word = "not counted" if lacking else state_word(at.state)
        title = escape(at.reason or state_text(at.state))
        return BoardCell(f'<span class="dim" title="{title}">{escape(word)}</span>')
    text = escape(quantity(at.value, at.metric.unit))
    if at.state is PointState.PREDICTED:
        return BoardCell(f'<span class="dim">≈ {text}</span><small>not run</small>', at.value)
    bounds = f"<small>no interval{flagged(at.flags)}</small>" if at.unbounded else ""
    if at.low is not None and at.high is not None:
        bounds = f"<small>{escape(interval(at.low, at.high, at.metric.unit))}{flagged(at.flags)}</small>"
    return BoardCell(text + bounds, at.value)


def against(c: Candidate, baseline: bool) -> BoardCell:
    """A bar around 1 with the ratio beside it."""
    if baseline:
        return BoardCell('<span class="dim">baseline</span>', 1.0)
    if c.against is None:
        return BoardCell('<span class="dim">–</span>')
    v = c.against
    text = told.plain(told.word("times_short", v))
    quiet = " dim" if v.outcome == "even" or v.state is PointState.PREDICTED else ""
    return BoardCell(f'{_bar(v)}<span class="x{quiet}">{escape(text)}</span>', 1 / v.ratio)


def _bar(v: Versus) -> str:
    """From 1 to the ratio, on a logarithmic scale common to the table, in pixels: what a style sheet draws."""
    scale = Scale(2, BAR - 2, 1 / MOST_TIMES, MOST_TIMES)

    def at(value: float) -> int:
        return round(scale.at(min(max(value, scale.low), scale.high)))

    one, here = at(1), at(1 / v.ratio)
    ends = ""
    if v.low is not None and v.high is not None:
        low, high = at(1 / v.high), at(1 / v.low)
        ends = f";--p:{low}px;--q:{max(high - low, 1)}px"
    left, right = sorted((one, here))
    return f'<i class="bar {v.state.value}" style="--l:{left}px;--w:{max(right - left, 1)}px{ends}"></i>'


def spark(points: ByLength, base: ByLength | None, scale: Scale, across: Scale) -> str:
    """Cost against n on the scale of the table, the baseline behind it, a cross where the next length does not fit."""
    width, height = SPARK
    body = "" if base is None else f'<path class="b" d="{_path(base, scale, across)}"/>'
    body += f'<path class="l" d="{_path(points, scale, across)}"/>'
    last = max((n for n, p in points.items() if p.state.valued), default=None)
    if last is not None:
        end = points[last]
        x, y = round(across.at(last)), round(scale.at(end.value or 1))
        if end.state is PointState.PREDICTED:
            body += f'<circle class="l" cx="{x}" cy="{y}" r="4"/>'
        if any(p.state is PointState.MEMORY and n > last for n, p in points.items()):
            body += f'<path class="l" d="M{x + 6} {y - 4}l8 8m0 -8l-8 8"/>'
    return f'<svg class="spark" viewBox="0 0 {width:g} {height:g}" aria-hidden="true">{body}</svg>'


def _path(points: ByLength, scale: Scale, across: Scale) -> str:
    places = [(across.at(n), scale.at(p.value)) for n, p in sorted(points.items()) if p.state.valued and p.value]
    return "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in places) if places else ""


def memory(at: Evidence | None) -> BoardCell:
    """Counted or measured bytes."""
    if at is None or at.value is None:
        return BoardCell('<span class="dim">–</span>')
    return BoardCell(escape(quantity(at.value, at.metric.unit)), at.value)


def keys(s: Sight) -> BoardCell:
    """How many keys a query reads."""
    if s.through:
        return BoardCell(f'<span class="dim">all, {s.through}</span>', s.of)
    if s.keys is None:
        return BoardCell('<span class="dim">not counted</span>')
    whole = "<small>all there are</small>" if s.whole else ""
    return BoardCell((f"{s.keys:,.0f}" if s.keys >= 10 else f"{s.keys:.2g}") + whole, s.keys)


def layers(s: Sight) -> BoardCell:
    """Layers to full reach, with the n of the pattern where it is another."""
    other = f"<small>at {format_length(s.pattern_n)}</small>" if s.pattern_n and s.pattern_n != s.n else ""
    if s.layers is not None:
        sure = "" if s.certainty in ("exact", "") else f"<small>{escape(s.certainty)}</small>"
        return BoardCell(f"{s.layers}{other}{sure}", float(s.layers))
    word = "never" if s.reaching == "never" else "not known"
    return BoardCell(f'<span class="dim" title="{escape(s.why)}">{word}</span>{other if word == "never" else ""}')


def cheaper(found: CrossingClaim | None) -> BoardCell:
    """Between which lengths it falls below the baseline."""
    if found is None:
        return BoardCell('<span class="dim">–</span>')
    text = escape(told.plain(told.word("cheaper_from", found)))
    sure = found.sure and found.shape in ("from", "always")
    return BoardCell(text if sure else f'<span class="dim">{text}</span>', float(found.low or 0) or None)


def parameters(standing_at: Ranking, c: Candidate) -> BoardCell:
    """The parameters in effect at this n, those that were clipped said to be so."""
    record = next((r for r in c.series.records if r.point.shape.n == standing_at.n), None)
    params: JsonObject = {} if record is None else record.point.params
    text = ", ".join(f"{k} {format_value(v)}" for k, v in params.items())
    return BoardCell(escape(text) or '<span class="dim">–</span>')


def tip(c: Candidate) -> str:
    """What a dot says of its cost when it is pointed at: value and comparison, each with how sure it is."""
    return _lines("tip", c)


def tip_rest(c: Candidate) -> str:
    """What it says besides, whatever the cost is: memory and sight."""
    return _lines("tip_rest", c)


def _lines(macro: str, c: Candidate) -> str:
    return "\n".join(part.strip() for part in told.plain(told.word(macro, c)).split("¶") if part.strip())


def head_of(metric: Quantity) -> str:
    """The head of a column."""
    return "time" if metric.key == WALL.key else (metric.short or metric.title)
