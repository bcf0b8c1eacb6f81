"""What every page must be: accessible, no wider than its window, and reachable by the keyboard alone."""

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_SERIOUS = {"serious", "critical"}
_AXE = Axe()
_STOPS = (Path(__file__).parent / "stops.js").read_text(encoding="utf-8").partition("\n")[2].rstrip().rstrip(";")


def serious(page: Page, *rules: str) -> list[str]:
    """What axe finds serious or critical, by all its rules or by those that are named: rule and where."""
    chosen = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    options = {"resultTypes": ["violations"], **chosen}
    found: list[dict[str, Any]] = _AXE.run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in _SERIOUS
        for node in rule["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window; 0 where it fits."""
    return int(page.evaluate("() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth)"))


def unreached(page: Page) -> list[str]:
    """What the Tab key should come to, from the top of the page, and does not; a trap of the focus is such a case too."""
    page.evaluate("() => { document.activeElement?.blur(); window.scrollTo(0, 0) }")
    stops: list[str] = page.evaluate(_STOPS)
    reached = set()
    for _ in range(len(stops) + 2):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => window.stopsOfTest.indexOf(document.activeElement)"))
        if len(reached - {-1}) == len(stops):
            break
    return [stop for number, stop in enumerate(stops) if number not in reached]
