from xml.etree import ElementTree

import pytest

from attnprof.render.pages.mathml import mathml
from attnprof.targets import catalog


def test_letters_numbers_and_relations_are_told_apart() -> None:
    found = mathml("|i - j| <= window / 2, or j < g_0 ^ 2")
    for part in ("<mi>i</mi>", "<mn>2</mn>", "≤", "window", "∨", "<msub><mi>g</mi><mi>0</mi></msub>", "<msup>"):
        assert part in found


@pytest.mark.parametrize("part", range(4))
def test_every_rule_of_the_catalogue_is_well_formed_and_loses_no_letter(part: int) -> None:
    for name in catalog.names()[part::4]:
        rule = catalog.entry(name).card.rule
        tree = ElementTree.fromstring(mathml(rule))
        text = "".join(tree.itertext())
        for number in (token for token in rule.replace("^", " ").split() if token.isdigit()):
            assert number in text, name


def test_a_rule_cannot_close_its_element() -> None:
    assert "<script" not in mathml("</math><script>alert(1)</script>")
