"""How long does a reviewer wait for the first view of a large review?

    python -m benchmarks.review_page_speed

300 neurons with 12 real pictures each (for every neuron three pictures of 224 pixels and twelve of 160, drawn by hand as the
tests draw them), served by a process of its own and opened in Debian's Chromium, all on two cores. Timed from the request until
the page has loaded and its first card stands there with its picture: the first request of a server that has just begun to listen
(cold), and later ones (warm), each by a new browser context whose cache is empty. Beside each in the same run: a page of one
line from a server of the same kind, because a busy machine slows both. Counted: pictures asked for before anybody scrolls.
Writes benchmarks/results/review_page_speed.json; exits 1 when a first view takes longer than 2 seconds.
"""

import argparse
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

RESULT = Path(__file__).parent / "results" / "review_page_speed.json"
NEURONS, REAL_IMAGES, SIDES = 300, 12, (224, 160)
CARD = ".card"
LIMIT_SECONDS = 2.0
STARTS, REPEATS = 3, 7
CORES = 2
TRIVIAL = "<!doctype html><title>t</title><link rel=icon href=data:,><article class=card>one line</article>"
log = logging.getLogger(__name__)


@contextmanager
def server(what: str, folder: Path) -> Iterator[str]:
    """A process that serves the review of a folder, or the page of one line; its address."""
    call = [sys.executable, "-m", "benchmarks.review_page_speed", "--serve", what, "--folder", str(folder)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def serve(what: str, folder: Path) -> None:
    """Serve until the process is ended; the address is the first line of the output."""
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    from neuroinspect.adapters.sql_reviews import SqlReviews
    from neuroinspect.web.app import create_app
    from neuroinspect.web.settings import PageSettings
    from tests.web.served import served

    app: Any = Starlette(routes=[Route("/{path:path}", lambda _: HTMLResponse(TRIVIAL))])
    if what == "review":
        app = create_app(
            SqlReviews(f"sqlite:///{folder}/reviews.db"), settings=PageSettings.for_loopback(reviewer="ada")
        )
    with served(app) as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        time.sleep(24 * 3600)


def view(browser: Browser, address: str) -> dict[str, float]:
    """Open a page with an empty cache: seconds until it has loaded and its first card stands there; what was asked for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.resource_type))
    began = time.perf_counter()
    page.goto(address, wait_until="load")
    loaded = time.perf_counter() - began
    page.wait_for_function(
        f"""() => {{
            const card = document.querySelector({CARD!r});
            const picture = card?.querySelector('img');
            return card && (!picture || (picture.complete && picture.naturalWidth > 0));
        }}"""
    )
    seconds = time.perf_counter() - began
    page.wait_for_load_state("networkidle")
    cards = page.locator(CARD).count()
    context.close()
    return {
        "seconds": seconds,
        "load_seconds": loaded,
        "images": asked.count("image"),
        "requests": len(asked),
        "cards": cards,
    }


def measure(folder: Path, review: str) -> dict[str, Any]:
    """Cold and warm views of the review, and of the page of one line beside them."""
    cold: dict[str, list[dict[str, float]]] = {"review": [], "trivial": []}
    warm: dict[str, list[dict[str, float]]] = {"review": [], "trivial": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        with server("trivial", folder) as address:
            view(browser, address)  # the browser's own first page
        for _ in range(STARTS):
            for what in cold:
                with server(what, folder) as address:
                    cold[what].append(view(browser, f"{address}/reviews/{review}"))
        with server("review", folder) as ours, server("trivial", folder) as trivial:
            for address in (ours, trivial):
                httpx.get(f"{address}/reviews/{review}")
            for _ in range(REPEATS):
                for what, address in (("review", ours), ("trivial", trivial)):
                    warm[what].append(view(browser, f"{address}/reviews/{review}"))
        version = browser.version
        browser.close()
    return {"chromium": version, "cold": summary(cold), "warm": summary(warm)}


def summary(views: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Median and worst of the views of the review, and how often as long as the page of one line they take."""
    of = {what: [one["seconds"] for one in found] for what, found in views.items()}
    last = views["review"][-1]
    return {
        "seconds": median(of["review"]),
        "worst_seconds": max(of["review"]),
        "load_seconds": median(one["load_seconds"] for one in views["review"]),
        "trivial_page_seconds": median(of["trivial"]),
        "times_the_trivial_page": median(of["review"]) / median(of["trivial"]),
        "views": len(of["review"]),
        "images_before_scrolling": max(one["images"] for one in views["review"]),
        "requests": last["requests"],
        "cards": last["cards"],
    }


def main() -> int:
    """Measure, keep, judge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--serve", choices=("review", "trivial"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.folder)
        return 0
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    from tests.web.reviews import made_review

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as name:
        made = made_review(Path(name), candidates=NEURONS, real=REAL_IMAGES, sides=SIDES)
        found = measure(Path(name), made.id)
    record = {
        "neurons": NEURONS,
        "real_images_of_each": REAL_IMAGES,
        "limit_seconds": LIMIT_SECONDS,
        "cores": CORES,
        "processor": platform.machine(),
        **found,
        "load_at_the_end": os.getloadavg()[0],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "holds": max(found[state]["worst_seconds"] for state in ("cold", "warm")) <= LIMIT_SECONDS,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for state in ("cold", "warm"):
        log.info("%s: %s", state, json.dumps(found[state]))
    return 0 if record["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
