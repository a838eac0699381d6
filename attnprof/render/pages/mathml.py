"""The rule of a card as MathML: letters, numbers, relations and words, so that no library is needed to typeset it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-zα-ω]+(?:_[A-Za-z0-9]+)*'?)|(?P<op><=|>=|!=|->|[-+*/^=<>(),|:;.\[\]{}])|(?P<other>\S))"
)
OPERATORS = {"<=": "≤", ">=": "≥", "!=": "≠", "->": "→", "*": "·", "-": "−"}
GREEK = {"phi": "φ", "sum": "∑", "sqrt": "√", "alpha": "α", "beta": "β", "gamma": "γ", "lambda": "λ", "sigma": "σ"}
WORD_OPERATORS = {"or": "∨", "and": "∧", "in": "∈", "mod": "mod"}
LONGEST_SYMBOL = 2


def mathml(rule: str) -> str:
    """A rule such as `|i - j| <= window / 2, or j < g` as one `math` element; words stay words."""
    parts = list(_parts(rule))
    out: list[str] = []
    k = 0
    while k < len(parts):
        if parts[k] == "<mo>^</mo>" and out and k + 1 < len(parts):
            out.append(f"<msup>{out.pop()}{parts[k + 1]}</msup>")
            k += 2
            continue
        out.append(parts[k])
        k += 1
    return f'<math display="block"><mrow>{"".join(out)}</mrow></math>'


def _parts(rule: str) -> Iterator[str]:
    """Each token as an element."""
    words: list[str] = []
    for found in TOKEN.finditer(rule):
        name, number, op, other = found["name"], found["number"], found["op"], found["other"]
        if name and _is_word(name):
            words.append(name)
            continue
        if words:
            yield f"<mtext>&#160;{escape(' '.join(words))}&#160;</mtext>"
            words = []
        if number:
            yield f"<mn>{int(number):,}</mn>" if number.isdigit() and len(number) > 4 else f"<mn>{number}</mn>"
        elif name:
            yield _symbol(name)
        elif op:
            yield f'<mo stretchy="false">{escape(OPERATORS.get(op, op))}</mo>' if op != "^" else "<mo>^</mo>"
        elif other:
            yield f"<mo>{escape(other)}</mo>"
    if words:
        yield f"<mtext>&#160;{escape(' '.join(words))}</mtext>"


def _is_word(name: str) -> bool:
    return name not in GREEK and name not in WORD_OPERATORS and "_" not in name and len(name) > LONGEST_SYMBOL


def _symbol(name: str) -> str:
    if name in WORD_OPERATORS:
        return f"<mo>&#160;{WORD_OPERATORS[name]}&#160;</mo>"
    head, _, index = name.partition("_")
    if len(head) > LONGEST_SYMBOL and head not in GREEK:
        return f"<mtext>{escape(name)}</mtext>"
    base = f"<mi>{escape(GREEK.get(head, head))}</mi>"
    return f"<msub>{base}<mi>{escape(index)}</mi></msub>" if index else base
