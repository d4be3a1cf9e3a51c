"""The console in Debian's Chromium: a page, its judge for accessibility, and pictures for people."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

BUILD = Path(__file__).parents[1] / "build"
AXE = BUILD / "axe" / "axe.min.js"
PICTURES = BUILD / "console"
SECONDS = 60.0  # for one thing to be shown, on a machine that does much else
WIDTHS = {1280: 800, 1024: 768, 1920: 1080}
_FAULTS = """async () => (await axe.run()).violations.map(rule => ({
    impact: rule.impact, rule: rule.id, help: rule.help,
    where: rule.nodes.map(node => node.target.join(" ") + ": " + node.failureSummary),
}))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium (Debian package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """An empty page, 1280 wide; the test fails if a script failed or the page asked another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(1000 * SECONDS)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: "127.0.0.1" in request.url or faults.append(request.url))
    yield page
    context.close()
    assert faults == []


def assert_accessible(page: Page) -> None:
    """Fail on a serious or critical fault that axe-core finds in the page as it stands.

    Not every machine that judges has npm, which fetches axe-core: one without judges the rest of a page, and
    `test_accessibility_is_judged` says so.
    """
    if not AXE.exists():
        return
    page.evaluate(AXE.read_text(encoding="utf-8"))
    faults = [fault for fault in page.evaluate(_FAULTS) if fault["impact"] in ("serious", "critical")]
    assert faults == []


def keep(page: Page, name: str, width: int = 1280) -> None:
    """Picture of the whole page at a width, in ``build/console``; nothing may scroll sideways."""
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": WIDTHS[width]})
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}-{width}.png", full_page=True)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_viewport_size(before)
    assert wider <= 0, f"{name} at {width}: {wider} px scroll sideways"
