"""Pictures of the pages, for a person to look at: `python -m tests.browser.pictures FOLDER [RUN...]`.

Without a run, of the made-up records and of three models. Each page at 1280, 768 and 390 pixels, light and dark, and as
it prints; the figures of every venue beside them, where matplotlib is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from attnprof.render import venues, write_page, write_paper
from attnprof.render.joined import joined
from attnprof.render.patterns import catalogue_pictures
from attnprof.store import RunFolder
from tests.browser.conftest import CHROMIUM, FLAGS, model_page_of
from tests.fakes.records import graph, header, records

WIDTHS = (1280, 768, 390)


def pages(folder: Path, runs: list[str]) -> list[Path]:
    """The pages to look at."""
    if not runs:
        made = [*records(), *(graph(name) for name in ("bigbird", "longformer", "linformer"))]
        return [write_page(folder / "fake.html", made, header()), model_page_of(folder / "models.html")]
    found, head = joined([RunFolder.open(Path(run)) for run in runs])
    for venue in venues():
        write_paper(folder / f"paper-{venue}", found, head, venue)
    return [write_page(folder / "run.html", found, head, picture=catalogue_pictures(found))]


def main(folder: Path, runs: list[str]) -> None:
    """Write every picture into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for page in pages(folder, runs):
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                    tab.goto(page.as_uri())
                    tab.wait_for_function("document.documentElement.classList.contains('settled')")
                    tab.screenshot(path=folder / f"{page.stem}-{width}-{scheme}.png", full_page=True)
                    if width == WIDTHS[0] and scheme == "light":
                        tab.screenshot(path=folder / f"{page.stem}-first.png")
                        tab.pdf(path=folder / f"{page.stem}.pdf", prefer_css_page_size=True)
                    tab.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
