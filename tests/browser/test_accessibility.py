"""axe finds nothing to say of any page, of any weight, light or dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["report", "graph_report"])
def test_axe_finds_nothing(visit: Callable[..., Any], request: pytest.FixtureRequest, kind: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install 'attnprof[test]'").Axe()
    path: Path = request.getfixturevalue(kind)
    opened = visit(path, "#card=longformer", color_scheme=scheme, viewport={"width": 1280, "height": 800})
    page = opened.ready() if kind == "report" else opened.page
    page.evaluate("document.querySelectorAll('section:not(#points) details').forEach(d => d.open = true)")
    only = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}  # nothing but colours differs there
    found = axe.run(page, options=only).response["violations"]
    assert [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3]) for v in found] == []
