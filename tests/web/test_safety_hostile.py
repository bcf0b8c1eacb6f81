"""Hostile names, notes, words and files: shown as what they are, and never a way to other files."""

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

import pandas as pd
import pytest

from neuroinspect.artifacts import write_json, write_table
from neuroinspect.web.app import create_app
from neuroinspect.web.drawing import Wish, drawing_key
from neuroinspect.web.neurons.picture_files import LARGEST
from tests.web import hostile
from tests.web.reviews import made_review
from tests.web.safety import ADDRESS, HTML, browser_of, every_route, filled, page_settings

NOTE = f"{hostile.MARKUP}{hostile.SCRIPT}{hostile.TEMPLATE}"
SECRET = b"\x89PNG\r\n\x1a\nTHE-SECRET"


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self.text, self._inside = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        self.text.append(data)
        if self._inside and self._inside[-1] in {"script", "style"} and data.strip():
            self.found.append((f"{self._inside[-1]} with content", {}))

    def links(self, *, also_sent=False):
        """Where the page leads; `also_sent` with the forms that are sent by POST."""
        names = ("href", "src", "action", "data-href", "data-src", "poster")
        followed = [attrs for _, attrs in self.found if also_sent or attrs.get("method", "get").lower() == "get"]
        return [attrs[name] for attrs in followed for name in names if attrs.get(name)]


@pytest.fixture(scope="module")
def review(tmp_path_factory):
    """A review whose every name does harm where it is not escaped, with notes that do."""
    made = made_review(tmp_path_factory.mktemp("hostile"), hostile=True)
    for neuron in made.neurons[:3]:
        made.say(neuron, "spurious", by=f"ada {hostile.MARKUP}", note=NOTE)
    return made


@pytest.fixture(scope="module")
def client(review):
    return browser_of(create_app(review.book, settings=page_settings(reviewer=hostile.MARKUP)))


def crawl(client, *, most=60):
    """Every page that can be reached by links from the first, with its address."""
    waiting, seen = ["/reviews", "/reviews?status=closed", "/nothing", "/login"], set()
    while waiting and len(seen) < most:
        address = waiting.pop(0)
        # One page of each kind and filter is enough.
        kind = (
            re.sub(r"\d+", "0", urlsplit(address).path)
            + "?"
            + "&".join(sorted(re.findall(r"(\w+)=", urlsplit(address).query)))
        )
        if kind in seen:
            continue
        seen.add(kind)
        answer = client.get(address, headers=HTML)
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        elements = Elements(answer.text)
        yield address, answer, elements
        here = (urljoin(ADDRESS + address, link) for link in elements.links())
        waiting.extend(link.removeprefix(ADDRESS).partition("#")[0] for link in here if link.startswith(f"{ADDRESS}/"))


@pytest.fixture(scope="module")
def crawled(client):
    """Every kind of page: its address, the answer and what a browser would make of it."""
    return list(crawl(client))


def test_markup_in_names_notes_and_words_is_text_on_every_page(crawled):
    shown, pages = "", 0
    for address, answer, elements in crawled:
        assert answer.status_code in {200, 404}, address
        for tag, attrs in elements.found:
            assert tag not in {"b" if "bold" in attrs else "object", "iframe", "embed", "base"}, address
            assert "with content" not in tag or attrs.get("type") == "application/json", (address, tag)
            assert not any(name.startswith("on") or name == "style" for name in attrs), (address, tag, attrs)
            assert attrs.get("src") != "x", address
        for link in elements.links(also_sent=True):
            assert urlsplit(link).scheme == "", (address, link)
            assert urlsplit(link).netloc == "", (address, link)
        shown += "".join(elements.text)
        pages += 1
    assert pages > 6
    for harmful in (hostile.MARKUP, NOTE):
        assert harmful in shown
    assert "49" not in re.findall(r"boat \S+ (\d+)", shown)


def test_every_link_of_the_page_leads_somewhere(client, crawled):
    asked, missing = {""}, []
    for address, _, elements in crawled[:25]:
        links = {urljoin(ADDRESS + address, link).removeprefix(ADDRESS).partition("#")[0] for link in elements.links()}
        # Eight of each page: a grid has hundreds that are alike.
        for link in sorted(links - asked - {address})[:8]:
            asked.add(link)
            if client.get(link).status_code not in {200, 303, 307}:
                missing.append((address, link))
    assert len(asked) > 40
    assert missing == []


def ask(app, path, query=b""):
    """Ask for a path just as it is: no client that tidies it up. Gives the status and the body."""
    sent = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": quote(path, safe="/%", errors="replace").encode(),
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8010")],
        "server": ("127.0.0.1", 8010),
        "client": ("127.0.0.1", 1),
    }

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


ATTACKS = [
    "..",
    "../../secret.png",
    "../" * 12 + "etc/passwd",
    "%2e%2e%2fsecret.png",
    "%252e%252e%252fsecret.png",
    "..%2f..%2fsecret.png",
    "..\\..\\secret.png",
    "/etc/passwd",
    "//etc/passwd",
    "secret.png\0.png",
    "\0",
    ".",
    "~root",
    "file:///etc/passwd",
    "\u2025/\u2025/secret.png",
    "\ud800",
    "\u202e",
    "x" * 3000,
    "-1",
    "1e3",
    "0x10",
    "١",
    "99999999999999999999",
    "2147483648",
    "NaN",
    "'; DROP TABLE review; --",
    "{{7*7}}",
    "<script>",
    "page.css/../../templates/base.html",
]
PARTS = [(route.path, part) for route in every_route() if "GET" in route.methods for part in route.param_convertors]


@pytest.mark.parametrize(("path", "part"), PARTS)
def test_no_part_of_a_path_leads_to_another_file(client, review, path, part):
    (review.run.root.parent / "secret.png").write_bytes(SECRET)
    there = {"review": review.id, "identifier": review.id, "neuron": str(review.neurons[0])}
    for attack in ATTACKS:
        status, body = ask(client.app, filled(path, **{**there, part: attack}))
        assert 400 <= status < 500, (attack, status)
        assert b"THE-SECRET" not in body
        assert b"root:" not in body


@pytest.fixture
def poisoned(tmp_path):
    """A review whose tables name files outside, each by another way; gives it and how many neurons are drawn."""
    made = made_review(tmp_path / "made")
    (tmp_path / "secret.png").write_bytes(SECRET)
    (made.run.root / "secret.png").write_bytes(SECRET)
    folder = made.run.stage("visualize")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "links").symlink_to(tmp_path)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "text.png").write_text("THE-SECRET")
    names = [
        "../secret.png",
        "../../../secret.png",
        str(tmp_path / "secret.png"),
        "link.png",
        "links/secret.png",
        "loop.png",
    ]
    names += ["text.png", "", ".", "..", "nothing.png", "a" * 5000]
    for table in ("illusions.parquet", "real.parquet"):
        rows = pd.read_parquet(folder / table)
        for column in {"picture", "mask", "feature_visualization"} & set(rows.columns):
            rows[column] = [names[number % len(names)] for number in range(len(rows))]
        write_table(folder / table, rows)
    mistakes = made.run.stage("diagnose") / "mistakes.parquet"
    rows = pd.read_parquet(mistakes)
    outside = tmp_path / "outside.png"
    outside.write_bytes((Path(made.params.data.table).parent / rows["path"][0]).read_bytes())
    (Path(made.params.data.table).parent / "link.png").symlink_to(outside)
    rows["path"] = [["../outside.png", str(outside), "link.png", "/etc/passwd", "\0"][n % 5] for n in range(len(rows))]
    write_table(mistakes, rows)
    return made, [int(row) for row in rows["row"]]


def test_a_table_that_names_files_outside_shows_none_of_them(poisoned):
    made, rows = poisoned
    client = browser_of(create_app(made.book, settings=page_settings(), reviewers=None))
    paths = [f"/reviews/{made.id}/mistakes/{row}.jpg" for row in rows[:5]]
    for neuron in made.neurons:
        paths += [f"/reviews/{made.id}/pictures/{neuron}/{name}.png" for name in ("illusion", "real/1")]
    paths += [f"/reviews/{made.id}/pictures/{made.neurons[0]}/{kind}.png" for kind in ("mask", "fv")]
    answers = [client.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert not any(b"THE-SECRET" in answer.content for answer in answers)
    assert client.get(f"/reviews/{made.id}", headers=HTML).status_code == 200
    assert client.get(f"/reviews/{made.id}/neurons/{made.neurons[0]}", headers=HTML).status_code == 200


def test_a_huge_file_is_not_read(made):
    picture = (
        made.run.stage("visualize") / pd.read_parquet(made.run.stage("visualize") / "illusions.parquet")["picture"][0]
    )
    with picture.open("ab") as stream:
        stream.truncate(LARGEST + 1)
    answers = [
        browser_of(create_app(made.book, settings=page_settings())).get(
            f"/reviews/{made.id}/pictures/{neuron}/illusion.png"
        )
        for neuron in made.neurons[:4]
    ]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 404]


@pytest.mark.parametrize("what", ["picture", "mask"])
def test_a_drawing_that_is_a_link_shows_nothing(made, tmp_path, what):
    params, run = made.params, made.run
    wish = Wish(made.neurons[0], "fv", made.request.class_name)
    key, folder = drawing_key(run, params, wish), params.runs.parent / "cache" / "drawings"
    folder.mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(SECRET)
    (folder / f"{key}.png").symlink_to(tmp_path / "secret.png")
    (folder / f"{key}.mask.png").symlink_to(tmp_path / "secret.png")
    record = {"neuron": wish.neuron, "kind": "fv", "class": wish.class_name, "activation": 1.0, "real_p95": 1.0}
    write_json(folder / f"{key}.json", record)
    client = browser_of(create_app(made.book, settings=page_settings()))
    assert client.get(f"/api/reviews/{made.id}/drawings/{key}").json()["state"] == "done"
    answer = client.get(f"/reviews/{made.id}/drawings/{key}/{what}.png")
    assert (answer.status_code, b"THE-SECRET" in answer.content) == (404, False)
