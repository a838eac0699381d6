"""Names of targets: as short as can be, and never two of one name."""

from __future__ import annotations

import pytest

from attnprof.naming import by_source, distinguished, short_name


@pytest.mark.parametrize(
    ("text", "name"),
    [("longformer", "longformer"), ("a/b/mine.py", "mine"), ("m.py:Attn", "Attn"), ("p.q:Attn", "Attn")],
)
def test_a_name_is_the_attribute_or_the_stem(text: str, name: str) -> None:
    assert short_name(text) == name
    assert distinguished([text]) == {text: name}


def test_classes_of_one_name_are_told_apart_by_where_they_stand() -> None:
    texts = ["timm.layers.attention:Attention", "vit_pytorch.vit:Attention", "longformer"]
    assert distinguished(texts, ["longformer"]) == {
        texts[0]: "timm.layers.attention:Attention",
        texts[1]: "vit_pytorch.vit:Attention",
        "longformer": "longformer",
    }


def test_files_of_one_stem_are_told_apart_by_as_much_of_their_path_as_it_takes() -> None:
    assert distinguished(["x/a/p.py", "x/b/p.py"]) == {"x/a/p.py": "a/p.py", "x/b/p.py": "b/p.py"}
    assert distinguished(["a/m.py:A", "b/m.py:A", "b/m.py:B"]) == {
        "a/m.py:A": "a/m.py:A",
        "b/m.py:A": "b/m.py:A",
        "b/m.py:B": "B",
    }


def test_no_file_takes_the_name_of_a_scheme() -> None:
    assert distinguished(["dense.py", "dense"], ["dense", "flash"]) == {"dense.py": "dense.py", "dense": "dense"}
    assert distinguished(["flash.py"], ["dense", "flash"]) == {"flash.py": "flash.py"}


def test_names_of_several_runs_are_told_apart_by_their_sources() -> None:
    found = by_source([("Attention", "timm.x:Attention"), ("Attention", "vit.y:Attention"), ("dense", None)])
    assert found == {
        ("Attention", "timm.x:Attention"): "timm.x:Attention",
        ("Attention", "vit.y:Attention"): "vit.y:Attention",
        ("dense", None): "dense",
    }
