"""A claim in words: one wording, printed as plain text, HTML or TeX. No rendering words anything itself.

The macros of `reports/templates/claims.j2` mark what a rendering may set apart: the name of a series, a strong part, a
quiet one. The marks carry no meaning of their own: without them the sentence is whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from attnprof import units
from attnprof.quantities import Quantity
from attnprof.records import JsonDict
from attnprof.render import numbers, templating, wording
from attnprof.render.claims.evidence import doubts
from attnprof.render.claims.fact import Claim
from attnprof.render.claims.versus import Versus
from attnprof.render.latex import tex

if TYPE_CHECKING:
    from jinja2 import Environment

NAME, STRONG, QUIET, END = "\ue000", "\ue001", "\ue002", "\ue003"
MARKS = re.compile(f"([{NAME}{STRONG}{QUIET}])([^{NAME}{STRONG}{QUIET}{END}]*){END}")
ANY = re.compile(f"[{NAME}{STRONG}{QUIET}{END}]")
TEMPLATES = ("claims.j2", "model_claims.j2")
PHRASES = {"wall_s": "time", "flops_executed": "FLOPs"}
UNIT_PHRASES = {
    "wall_s": "a layer",
    "flops_executed": "a layer",
    "peak_bytes": "of peak memory",
    "state_bytes": "of state",
    "decode_read_bytes": "read a step, per layer",
}


class MarkedPart(NamedTuple):
    """A part of a sentence: `kind` is `text`, `name`, `strong` or `quiet`."""

    kind: str
    text: str


@cache
def _environment() -> Environment:
    from jinja2 import Environment as Made
    from jinja2 import FileSystemLoader, StrictUndefined

    found = Made(
        loader=FileSystemLoader(templating.templates()), undefined=StrictUndefined, autoescape=False, trim_blocks=True
    )
    found.globals.update(templating.SHARED)
    found.globals.update(HELPERS)
    found.filters["name"] = lambda text: f"{NAME}{clean(str(text))}{END}"
    found.filters["strong"] = lambda text: f"{STRONG}{text}{END}"
    found.filters["quiet"] = lambda text: f"{QUIET}{text}{END}"
    return found


def clean(text: str) -> str:
    """A text from elsewhere without the characters that mark."""
    return ANY.sub("", text)


@cache
def _macros() -> JsonDict:
    found: JsonDict = {}
    for template in TEMPLATES:
        found |= vars(_environment().get_template(template).module)
    return found


def word(macro: str, *arguments: object) -> str:
    """What a macro of the claims' templates says, marks included."""
    text = str(_macros()[macro](*arguments))
    return re.sub(r"\s+", " ", text).strip()


def said(claim: Claim) -> str:
    """The sentences of a claim, marks included."""
    return word(claim.kind, claim)


def pieces(text: str) -> Iterator[MarkedPart]:
    """A marked text in parts."""
    kinds = {NAME: "name", STRONG: "strong", QUIET: "quiet"}
    at = 0
    for found in MARKS.finditer(text):
        if found.start() > at:
            yield MarkedPart("text", text[at : found.start()])
        yield MarkedPart(kinds[found[1]], found[2])
        at = found.end()
    if at < len(text):
        yield MarkedPart("text", text[at:])


def plain(text: str) -> str:
    """The text without marks."""
    return ANY.sub("", text)


def html(text: str, link: Callable[[str], str] | None = None) -> str:
    """The text as HTML; `link` makes the element of a series' name."""
    forms: dict[str, Callable[[str], str]] = {
        "text": escape,
        "name": link or (lambda name: f"<b>{escape(name)}</b>"),
        "strong": lambda part: f"<b>{escape(part)}</b>",
        "quiet": lambda part: f'<span class="q">{escape(part)}</span>',
    }
    return "".join(forms[piece.kind](piece.text) for piece in pieces(text))


def latex_text(text: str) -> str:
    """The text as LaTeX."""
    forms = {"strong": r"\textbf{%s}", "name": r"\textsf{%s}"}
    return "".join(forms.get(p.kind, "%s").replace("%s", tex(p.text)) for p in pieces(text))


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a row, those beyond `most` as a count."""
    shown = [f"{NAME}{clean(n)}{END}" for n in names[:most]]
    rest = len(names) - len(shown)
    if rest:
        return ", ".join(shown) + f" and {rest} more"
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + (f" and {shown[-1]}" if shown else "")


def _bound(value: float) -> str:
    """An end of an interval: with a digit more near 1, where it decides."""
    return f"{value:.2f}" if value < 2 else numbers.factor(value)


def _few(keys: float) -> str:
    return f"{keys:,.0f}" if keys >= 10 else f"{keys:.2g}"


def _phrase(metric: Quantity) -> str:
    return PHRASES.get(metric.key, metric.phrase)


def _unit_phrase(metric: Quantity) -> str:
    return UNIT_PHRASES.get(metric.key, f"of {metric.phrase} a layer")


def _exact_bytes(value: int) -> str:
    return f"{units.format_bytes(value)}, {value:,} bytes"


def _share_of(part: float, whole: float) -> str:
    return numbers.percent(part / whole) if whole else "none"


def _times_exact(value: float) -> str:
    """A ratio of two counts, to two decimals."""
    return f"{value:,.2f}×"


def _beside(value: int, exact: int) -> str:
    """A count beside the exact one: as a ratio, or as a difference too small to show in one."""
    ratio = _times_exact(value / exact)
    return "the same" if value == exact else f"{value - exact:+,} bytes" if ratio == "1.00×" else ratio


def _both(against: Versus) -> tuple[str, ...]:
    return doubts((against.ours, against.theirs))


HELPERS: Mapping[str, Callable[..., object]] = {
    "listed": listed,
    "bound": _bound,
    "both": _both,
    "share_of": _share_of,
    "times_exact": _times_exact,
    "beside": _beside,
    "few": _few,
    "phrase": _phrase,
    "unit_phrase": _unit_phrase,
    "exact_bytes": _exact_bytes,
    "state_word": wording.state_word,
    "state_text": wording.state_text,
    "impl_word": wording.impl_word,
}
