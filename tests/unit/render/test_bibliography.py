import re

import pytest

from attnprof.errors import AttnprofError
from attnprof.render import bibliography
from attnprof.targets import catalog

FIELDS = {"author", "title", "year", "url"}


@pytest.mark.parametrize("key", [k for k in bibliography.known_keys() if k != "attnprof"])
def test_an_entry_is_well_formed(key: str) -> None:
    entry = bibliography.entry(key)
    assert re.match(rf"@(article|inproceedings)\{{{key},\n", entry)
    assert entry.count("{") == entry.count("}")
    fields = dict(re.findall(r"^  (\w+)\s*= \{(.*)\},?$", entry, flags=re.M))
    assert set(fields) >= FIELDS
    assert fields.keys() & {"booktitle", "journal"}
    assert fields["url"] == f"https://arxiv.org/abs/{fields['eprint']}"
    journal, number = fields.get("journal", ""), fields["eprint"]
    assert not journal.startswith("arXiv") or journal == f"arXiv preprint arXiv:{number}"
    assert entry.isascii()


@pytest.mark.parametrize("name", catalog.names())
def test_every_card_cites_an_entry_that_is_there(name: str) -> None:
    assert catalog.entry(name).card.bib in bibliography.known_keys()


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(AttnprofError, match="BibTeX key") as caught:
        bibliography.entry("beltagy2020longforme")
    assert "beltagy2020longformer" in caught.value.hint


def test_entries_are_written_once_and_sorted() -> None:
    text = bibliography.bibtex(["ho2019axial", "dai2020funnel", "ho2019axial"])
    assert re.findall(r"^@\w+\{(\w+),", text, flags=re.M) == ["dai2020funnel", "ho2019axial"]
