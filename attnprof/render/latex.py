"""Text that LaTeX prints as it stands, and Jinja2 with delimiters that LaTeX does not use."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from attnprof.render import templating

if TYPE_CHECKING:
    from jinja2 import Environment

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\u00a0": "~",
    "–": "--",
    "—": "---",
    "“": "``",
    "”": "''",
    "‘": "`",
    "’": "'",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "÷": r"$\div$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≠": r"$\neq$",
    "∞": r"$\infty$",
    "→": r"$\rightarrow$",
    "←": r"$\leftarrow$",
    "√": r"$\surd$",
    "Σ": r"$\Sigma$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "²": r"$^2$",
    "³": r"$^3$",
    "⁹": r"$^9$",
    "°": r"$^\circ$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "φ": r"$\varphi$",
    "ø": r"\o{}",
    "Ł": r"\L{}",
    "ł": r"\l{}",
    "ß": r"\ss{}",
}


def tex(value: object) -> str:
    """The text of a value, every character that is special to LaTeX escaped; what no font of pdfTeX has becomes `?`."""
    return "".join(_character(c) for c in str(value))


def breakable(value: object) -> str:
    """The same, with places to break in what is longer than a narrow column."""
    words = str(value).split(" ")
    parts = [[word[k : k + 12] for k in range(0, len(word), 12)] if len(word) > 20 else [word] for word in words]
    return " ".join(r"\allowbreak{}".join(tex(part) for part in word) for word in parts)


def _character(c: str) -> str:
    if c in ESCAPES:
        return ESCAPES[c]
    if c in "\n\t" or " " <= c < "\x7f":
        return c
    base = unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode("ascii")
    return "".join(ESCAPES.get(b, b) for b in base) or "?"


@cache
def latex() -> Environment:
    """The environment of the paper's files: `<< value | tex >>`, `<% statement %>`, `<# comment #>`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(templating.templates() / "paper"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    found.globals.update(templating.SHARED)
    found.filters["tex"] = tex
    found.filters["breakable"] = breakable
    found.filters["pt"] = lambda value: f"{value:.1f}pt"
    found.filters["raw"] = str
    return found
