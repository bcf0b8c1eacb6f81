"""Every view: nothing goes wrong in the browser, nobody is shut out, and it fits into every window."""

import pytest
from playwright.sync_api import expect

from tests.web.looks import overflow, serious, unreached
from tests.web.site_of_tests import LookedAt, looked_at

VIEWS = (
    "waiting",
    "closed",
    "grid",
    "focus",
    "undrawn",
    "compare",
    "outcome",
    "done",
    "decided",
    "expired",
    "hostile",
    "hostile-focus",
    "hostile-compare",
    "login",
)
WIDTHS = (360, 768, 1280, 3840)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with looked_at(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_whole_accessible_and_fits(page, site: LookedAt, picture_of, view):
    page.goto(site.pages()[view])
    picture_of(f"{view}-light")
    assert serious(page) == []
    if not view.startswith("hostile"):  # its colours are those of the view with other names
        page.emulate_media(color_scheme="dark")
        picture_of(f"{view}-dark")
        assert serious(page, "color-contrast") == []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert overflow(page) == 0, f"at {width} pixels"
        picture_of(f"{view}-{width}", whole=width < 2000)
    assert page.evaluate("() => window.harmed") is None


@pytest.mark.parametrize("view", ["waiting", "grid", "focus", "compare", "done", "decided", "login"])
def test_everything_of_a_view_is_reached_by_tab(page, site: LookedAt, view):
    page.goto(site.pages()[view])
    # what can be drawn of a neuron without a picture is asked for once the page is there, and brings buttons
    page.wait_for_function("() => !document.querySelector('[data-drawings][open] [data-drawings-state]')?.textContent")
    assert unreached(page) == []


# What is cut away or covered is not under the pointer.
UNDER_POINTER = """(image) => {
    image.scrollIntoView({block: "center", behavior: "instant"});
    const box = image.getBoundingClientRect();
    return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === image;
}"""


@pytest.mark.parametrize("title", ["Real photos it fires on most", "Mistakes that voted for it"])
def test_a_phone_shows_the_photos_too(page, site: LookedAt, title):
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(site.pages()["focus"])
    photo = page.get_by_role("region", name=title).locator("figure img").first
    assert photo.evaluate(UNDER_POINTER)
    assert photo.bounding_box()["width"] > 60


@pytest.mark.parametrize("width", [360, 1280])
def test_what_opens_over_a_view_is_accessible_and_fits(page, site: LookedAt, picture_of, width):
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(site.pages()["grid"])
    opened = {
        "what-if": ("w", page.locator("[data-what-if-found]").get_by_text("Retrain-only").first),
        "confirm": ("Control+Enter", page.get_by_role("dialog", name="Approve this edit?")),
        "keys": ("?", page.get_by_role("dialog", name="Keys")),
    }
    for name, (key, shown) in opened.items():
        if name == "confirm":
            page.keyboard.press("a")
        page.keyboard.press(key)
        expect(shown).to_be_visible()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            picture_of(f"{name}-{scheme}-{width}", whole=False)
            assert serious(page, *(() if scheme == "light" else ("color-contrast",))) == [], name
        assert overflow(page) == 0, name
        if name != "what-if":
            page.keyboard.press("Escape")
            expect(shown).to_be_hidden()
            page.get_by_role("main").click(position={"x": 5, "y": 5})
