"""A headless chromium for the pages that attnprof writes; without one the browser tests skip themselves."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attnprof.graph.analysis import Request, analyze
from attnprof.models.lookup import model_named
from attnprof.plan.accelerators import accelerator
from attnprof.render import write_page
from attnprof.render.graph_page import write_graph_page
from attnprof.render.model_page import write_model_page
from attnprof.render.subjects.configured_model import configured_model
from attnprof.render.subjects.model_subject import PageAsk
from attnprof.targets import door
from tests.fakes.records import graph, header, many, records

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser, started once."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed (apt-get install chromium)")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed (pip install 'attnprof[test]')")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of made-up records that shows everything a page can show."""
    layers = {"bigbird": 2, "longformer": 2, "linformer": 1, "performer": 1, "linear": 1, "sliding_window": None}
    graphs = [graph(name, layers=k) for name, k in layers.items()]
    return write_page(tmp_path_factory.mktemp("page") / "report.html", [*records(), *graphs], header())


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 80 targets at 7 lengths and two passes."""
    made = [r for r in many(80) if not r.point.shape.causal]
    graphs = [graph(name) for name in sorted({r.point.target for r in made})]
    return write_page(tmp_path_factory.mktemp("large") / "report.html", [*made, *graphs], header())


def model_page_of(path: Path) -> Path:
    """The page of three models, each of other layers."""
    ask = PageAsk(lengths=(2048, 8192, 32768, 131072), memory=80 * 10**9, card=accelerator("h100"))
    names = ("hf:gpt_oss_20b", "hf:gemma3_27b", "hf:qwen3_next")
    header = {"memory": "74.5 GiB (h100)", "weights": "bfloat16", "caches": "bfloat16"}
    return write_model_page(path, [configured_model(model_named(name), ask) for name in names], header)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three models."""
    return model_page_of(tmp_path_factory.mktemp("models") / "models.html")


@pytest.fixture(scope="session")
def graph_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two real patterns: one with a global token, one of random blocks."""
    found = []
    for name in ("longformer", "bigbird"):
        target = door.find(name, params={"window": 32} if name == "longformer" else {"block": 16})
        made = analyze(target, Request(n=512, seeds=4))
        found.append((made.facts, made.views()))
    path = tmp_path_factory.mktemp("graph") / "report.html"
    return write_graph_page(path, found, {"command": "attnprof graph longformer bigbird --n 512"})


class Visit:
    """One opened page with every request that it made and everything that it complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)

    def ready(self) -> Page:
        """The page once its script has taken over."""
        self.page.wait_for_function("document.documentElement.classList.contains('ready')", timeout=60_000)
        return self.page


@pytest.fixture
def visit(browser: Browser, report: Path) -> Iterator[Callable[..., Visit]]:
    """Opens the report in a context of its own; keyword arguments are those of a playwright context."""
    contexts = []

    def opened(path: Path = report, state: str = "", **options: Any) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        found = Visit(context.new_page())
        found.page.goto(path.as_uri() + state)
        return found

    yield opened
    for context in contexts:
        context.close()
