import re

import pytest

from attnprof.render.latex import tex
from attnprof.render.templating import templates


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("sliding_window", r"sliding\_window"),
        ("50% & #1", r"50\% \& \#1"),
        ("$x^2$", r"\$x\textasciicircum{}2\$"),
        ("a~b", r"a\textasciitilde{}b"),
        (r"C:\temp", r"C:\textbackslash{}temp"),
        ("{n}", r"\{n\}"),
        ("a < b > c | d", r"a \textless{} b \textgreater{} c \textbar{} d"),
        ('say "no"', "say ''no''"),
        ("1k–64k — “all”", "1k--64k --- ``all''"),
        ("≥ 2.7k × ≈ ≤", r"$\geq$ 2.7k $\times$ $\approx$ $\leq$"),
        ("3 µs, 1024³", r"3 $\mu$s, 1024$^3$"),
        ("café Łukasz", r"cafe \L{}ukasz"),
        ("日本", "??"),
        (3, "3"),
    ],
)
def test_text_is_printed_as_it_stands(given: object, written: str) -> None:
    assert tex(given) == written


@pytest.mark.parametrize("path", sorted((templates() / "paper").glob("*.j2")), ids=lambda p: p.name)
def test_every_value_of_a_template_says_how_it_is_escaped(path) -> None:
    for value in re.findall(r"<<(.*?)>>", path.read_text(encoding="utf-8")):
        assert re.search(r"\|\s*(tex|raw|pt|breakable)\s*$", value), value
