import re
from dataclasses import replace
from functools import lru_cache
from html.parser import HTMLParser

import pytest

from neuroinspect.report import render_page
from neuroinspect.report.render import STATUS_LABELS, choice_in_words, suggested_in_words

VOID = {"meta", "img", "link", "br", "hr", "input"}
NASTY = "<script>alert('boat')</script>"


class Outline(HTMLParser):
    """Reads a page: its elements, whether they close in order, and its text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text, self.unbalanced = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


outlined = lru_cache(Outline)
VARIANTS = [
    {},
    {"test": True},
    {"guide": False, "groups": False},
    {"status": "found_no_gain", "auto": False},
    {"status": "nothing_found", "auto": False},
    {"status": "nothing_to_explain", "guide": False, "groups": False},
]


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    return request.param


def test_the_page_is_well_formed_whatever_the_run_lacks(page_of, variant):
    outline = outlined(page_of(**variant).html)
    assert outline.unbalanced == []
    assert outline.open == []
    assert "None" not in re.findall(r"\bNone\b", outline.words)
    assert [tag for tag, _ in outline.elements if tag == "h1"] == ["h1"]


def test_the_page_asks_nothing_of_the_network(page_of, variant):
    html = page_of(**variant).html
    outline = outlined(html)
    assert outline.all("script") == outline.all("link") == []
    assert all(picture["src"].startswith("data:") for picture in outline.all("img"))
    assert all(link["href"].startswith("#") for link in outline.all("a"))
    assert "url(http" not in html
    assert set(re.findall(r"https?://[^\s\"']+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_page_can_be_read_by_ear_and_by_keyboard(page_of, variant):
    outline = outlined(page_of(**variant).html)
    assert all(picture["alt"] for picture in outline.all("img"))
    assert all(header.get("scope") in {"col", "row"} for header in outline.all("th"))
    assert all(len(outline.all(landmark)) == 1 for landmark in ("main", "nav", "footer"))
    identifiers = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    named = [attributes["aria-labelledby"] for _, attributes in outline.elements if "aria-labelledby" in attributes]
    targets = [link["href"][1:] for link in outline.all("a")]
    assert set(named + targets) <= set(identifiers)
    drawings = outline.all("svg")
    assert all(drawing.get("aria-hidden") == "true" or drawing.get("aria-label") for drawing in drawings)


def test_the_same_material_gives_the_same_bytes(material_of, page_of):
    assert render_page(material_of()) == page_of()


def test_the_page_holds_no_path_of_the_machine(material_of, page_of, variant):
    material, html = material_of(**variant), page_of(**variant).html
    assert str(material.params.runs) not in html
    assert str(material.data_root) not in html


@pytest.mark.parametrize("status", list(STATUS_LABELS))
def test_the_verdict_is_told_by_words_and_glyph_and_not_by_colour_alone(material_of, page_of, status):
    material, html = material_of(status=status), page_of(status=status).html
    verdict = html[html.index('<section id="verdict"') : html.index("</section>")]
    assert f'class="verdict {status}"' in verdict
    assert STATUS_LABELS[status] in Outline(verdict).words
    assert material.metrics["verdict"]["sentence"] in Outline(verdict).words
    assert '<svg class="icon"' in verdict


def test_each_status_has_its_own_glyph(page_of):
    pages = [page_of(status=status).html for status in STATUS_LABELS]
    glyphs = [page[page.index('<svg class="icon"') :].partition("</svg>")[0] for page in pages]
    assert len(set(glyphs)) == len(STATUS_LABELS)


def test_a_class_name_with_markup_is_only_text(material_of):
    material = material_of(classes=(NASTY, "mug & co", "$x$"))
    page = render_page(replace(material, decision={**material.decision, "by": NASTY, "note": NASTY, "rule": None}))
    outline = Outline(page.html)
    assert outline.all("script") == []
    assert outline.unbalanced == []
    assert NASTY in outline.words
    assert all("<script>" not in svg for svg in page.plots.values())


def test_a_title_with_markup_is_only_text(material_of):
    material = material_of()
    report = material.params.report.model_copy(update={"title": "</title><script>"})
    html = render_page(replace(material, params=material.params.model_copy(update={"report": report}))).html
    assert Outline(html).all("script") == []


def test_every_section_that_shows_figures_names_its_split(page_of):
    html = page_of(test=True).html
    for section, split in (("figures", "Judge split"), ("mistakes", "select split"), ("neurons", "select split")):
        part = html[html.index(f'<section id="{section}"') :].partition("</section>")[0]
        assert split in part
    for section in ("controls", "classes"):
        part = html[html.index(f'<section id="{section}"') :].partition("</section>")[0]
        assert "Judge split" in part
        assert "Test split" in part


def test_a_clean_model_has_neither_mistakes_nor_neurons_nor_controls(page_of):
    html = page_of(status="nothing_to_explain").html
    for section in ("mistakes", "neurons", "controls"):
        assert f'id="{section}"' not in html
    assert 'id="figures"' in html


def test_the_page_says_that_nobody_looked(page_of):
    assert "unverified" in page_of().html
    assert "unverified, and promotion" not in page_of(auto=False).html


def test_the_choice_is_told_in_words(material_of):
    by_rule, by_person = choice_in_words(material_of()), choice_in_words(material_of(auto=False))
    assert "a rule, not by a person (auto: the top 3 insufficient neurons" in by_rule
    assert by_person == "Neurons 12, 31, 44 were chosen by Ada. Note: “They all show water, not the boat.”"


def test_the_strength_is_told_where_the_edit_did_not_go_all_the_way(material_of):
    material = material_of(auto=False)
    half = replace(material, edit={**material.edit, "strength": 0.5})
    assert "Strength" not in choice_in_words(material)
    assert "by Ada. Strength 0.5: every edit and control goes that part of the way" in choice_in_words(half)
    assert "<dt>Strength of the edit</dt>" in render_page(half).html


def test_what_was_tried_beside_the_choice_is_told_in_words(material_of):
    def told(*sets, **variant):
        found = {"sets": [{"neurons": list(neurons)} for neurons in sets]}
        return suggested_in_words(replace(material_of(**variant), suggestions=found))

    assert told((12, 31, 44), (7,)).endswith("The chosen set came out 1 of 2.")
    assert told((7,)).startswith("1 set of candidates was tried")
    assert told((7,)).endswith("First came 7; the chosen set was not among them.")
    assert "chosen" not in told((7,), status="nothing_found", auto=False)
    assert suggested_in_words(material_of()) == ""


def test_a_rejection_is_told_in_words(material_of):
    rejected = choice_in_words(material_of(status="nothing_found", auto=False))
    assert rejected.startswith("Ada rejected the finding, so no neuron was edited.")
