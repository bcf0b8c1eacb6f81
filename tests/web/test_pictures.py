"""Pictures are found through the tables of the run alone, and never break a page."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from neuroinspect.artifacts import read_table, write_bytes, write_json, write_table
from neuroinspect.stages.neuron_pictures import folder_name
from neuroinspect.web.neurons.picture_files import file_inside
from neuroinspect.web.neurons.thumbnails import SIDE
from tests.web.answering import Reviewer
from tests.web.reviews import MadeReview, made_review


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Reviewer:
    """At a review that no test changes."""
    return Reviewer(made_review(tmp_path_factory.mktemp("still")))


def renamed(made: MadeReview, column: str, name: Any) -> int:
    """Let the table name another file for the picture of the first neuron."""
    path = made.run.stage("visualize") / "illusions.parquet"
    table = read_table(path)
    table.loc[table["neuron"] == made.neurons[0], column] = name
    write_table(path, table)
    return made.neurons[0]


def touch(made: MadeReview) -> None:
    """Let the page read the tables again, as after a run."""
    for stage in ("diagnose", "visualize"):
        record = made.run.stage_record(stage)
        write_json(made.run.stage(stage) / "stage.json", record)


def mistake_path(made: MadeReview, name: str) -> int:
    """Let the table name another file for the first mistake; its row."""
    path = made.run.stage("diagnose") / "mistakes.parquet"
    table = read_table(path)
    table.loc[0, "path"] = name
    write_table(path, table)
    return int(table.loc[0, "row"])


@pytest.mark.parametrize("what", ["illusion.png", "mask.png", "fv.png", "real/1.png"])
def test_pictures_of_a_neuron_are_served_as_png(still: Reviewer, what: str) -> None:
    answer = still.page(f"pictures/{still.made.neurons[0]}/{what}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(io.BytesIO(answer.content)).format == "PNG"


def test_an_address_of_a_page_may_be_kept_for_ever_and_one_without_a_stamp_is_asked_again(still: Reviewer) -> None:
    detail = still.api(f"neurons/{still.made.neurons[0]}").json()
    kept = still.get(detail["illusion"])
    assert "immutable" in kept.headers["cache-control"]
    assert "private" in kept.headers["cache-control"]
    bare = still.get(detail["illusion"].partition("?")[0])
    assert bare.headers["cache-control"] == "private, no-cache"
    assert still.get(detail["illusion"] + "x").headers["cache-control"] == "private, no-cache"


def test_what_the_reader_has_already_is_not_sent_again(still: Reviewer) -> None:
    path = f"/reviews/{still.made.id}/pictures/{still.made.neurons[0]}/illusion.png"
    tag = still.client.get(path).headers["etag"]
    again = still.client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert still.client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_picture_that_was_drawn_again_has_another_address(tmp_path: Path) -> None:
    made = made_review(tmp_path)
    reviewer = Reviewer(made)
    before = reviewer.api(f"neurons/{made.neurons[0]}").json()["illusion"]
    file = made.run.stage("visualize") / read_table(made.run.stage("visualize") / "illusions.parquet")["picture"][0]
    Image.new("RGB", (9, 9)).save(file)
    assert reviewer.api(f"neurons/{made.neurons[0]}").json()["illusion"] != before


def test_a_name_that_leads_elsewhere_is_no_picture(made: MadeReview) -> None:
    reviewer = Reviewer(made)
    for name in ("../extract/features.select.npy", "/etc/passwd", "", "a\0b", "no/such.png", ".", "stage.json", None):
        neuron = renamed(made, "picture", name)
        touch(made)
        assert reviewer.page(f"pictures/{neuron}/illusion.png").status_code == 404, name
        assert reviewer.page(f"neurons/{neuron}").status_code == 200, name


def test_a_link_out_of_the_run_folder_is_refused(made: MadeReview, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4)).save(secret)
    link = made.run.stage("visualize") / folder_name(made.request.class_name) / "link.png"
    link.symlink_to(secret)
    neuron = renamed(made, "picture", f"{folder_name(made.request.class_name)}/link.png")
    assert Reviewer(made).page(f"pictures/{neuron}/illusion.png").status_code == 404


def test_the_page_shows_a_note_in_the_place_of_a_missing_picture(made: MadeReview) -> None:
    reviewer = Reviewer(made)
    for file in (made.run.stage("visualize") / folder_name(made.request.class_name)).rglob("*.png"):
        file.unlink()
    page = reviewer.page(f"neurons/{made.neurons[0]}")
    assert page.status_code == 200
    assert "the file cannot be read" in page.text
    assert "pictures/" not in page.text


def test_mistakes_are_small_copies_without_what_else_the_file_holds(made: MadeReview) -> None:
    row = mistake_path(made, "large.jpg")
    large = Image.new("RGB", (1200, 600), "red")
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    large.save(made.params.data.table.parent / "large.jpg", exif=exif, comment=b"a secret comment")
    answer = Reviewer(made).page(f"mistakes/{row}.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert b"secret" not in answer.content
    assert Image.open(io.BytesIO(answer.content)).size == (SIDE, SIDE // 2)


def test_a_mistake_that_is_no_picture_is_not_there(made: MadeReview) -> None:
    row, reviewer = mistake_path(made, "odd.png"), Reviewer(made)
    for content in (b"", b"GIF89a", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n broken"):
        write_bytes(made.params.data.table.parent / "odd.png", content)
        assert reviewer.page(f"mistakes/{row}.jpg").status_code == 404, content


def test_a_picture_that_would_fill_the_memory_is_not_decoded(made: MadeReview) -> None:
    row = mistake_path(made, "bomb.png")
    Image.new("1", (12_000, 12_000)).save(made.params.data.table.parent / "bomb.png")
    assert Reviewer(made).page(f"mistakes/{row}.jpg").status_code == 404


def test_a_mistake_is_read_from_the_data_alone(made: MadeReview) -> None:
    reviewer = Reviewer(made)
    for name in ("../../etc/passwd", "/etc/hostname", "run/diagnose/stage.json"):
        row = mistake_path(made, name)
        touch(made)
        assert reviewer.page(f"mistakes/{row}.jpg").status_code == 404, name


def test_file_names_that_do_harm_are_shown_as_they_are(tmp_path: Path) -> None:
    made = made_review(tmp_path, hostile=True)
    reviewer = Reviewer(made)
    detail = reviewer.api(f"neurons/{made.neurons[0]}").json()
    assert detail["mistakes"]
    for photo in detail["mistakes"][:8]:
        assert reviewer.get(photo["src"]).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "pictures/0/other.png",
        "pictures/-1/mask.png",
        "pictures/99999999999999999999/mask.png",
        "pictures/1/real/99999.png",
        "pictures/1/..%2f..%2fillusion.png",
        "pictures/319/illusion.png",
        "mistakes/abc.jpg",
        "mistakes/0.jpg",
    ],
)
def test_a_picture_that_is_not_there_is_a_404(still: Reviewer, path: str) -> None:
    assert still.page(path).status_code == 404


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert file_inside(tmp_path, "folder") is None
    assert file_inside(None, "folder") is None
    assert file_inside(tmp_path / "gone", "folder") is None


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    found = file_inside(tmp_path, "b.png")
    assert found is not None
    assert found.path == (tmp_path / "a.png").resolve()
