import re

from neuroinspect.artifacts import RunFolder
from neuroinspect.machinery import Machinery
from neuroinspect.ports import silent
from neuroinspect.stages.review import read_request
from tests.review_project import Project


def test_names_from_outside_are_shown_as_they_are(prefect_server):
    from flows.artifacts import as_text

    shown = as_text("<img src=x onerror=alert(1)> **b** | [l](javascript:1)\n# `c`")
    assert "<" not in shown
    assert ">" not in shown
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)[*|`#\[\]()_]", shown)
    assert as_text("sea lion") == "sea lion"


def test_an_artifact_that_cannot_be_made_is_logged_and_the_run_goes_on(prefect_server, tmp_path, caplog):
    from flows.artifacts import show_outcome, show_question, show_ranking

    empty = RunFolder(tmp_path / "empty")
    for show in (show_ranking, show_question, show_outcome):
        show(empty)
    assert caplog.text.count("the run goes on") == 4


def test_the_question_links_the_page_and_names_the_commands(prefect_server, tmp_path, monkeypatch):
    from flows import artifacts
    from flows.surroundings import surrounded_by

    project, shown = Project(tmp_path / "project"), {}
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda text, key, **_: shown.update({key: text}))
    monkeypatch.setattr(artifacts, "create_link_artifact", lambda link, text, key: shown.update({key: link}))
    identifier = read_request(project.run).id
    for machinery, start in (
        (Machinery(state=tmp_path), "http://127.0.0.1:8321"),
        (Machinery(state=tmp_path, page_url="https://reviews.example/"), "https://reviews.example"),
    ):
        with surrounded_by(machinery, silent):
            artifacts.show_question(project.run)
        page = f"{start}/reviews/{identifier}"
        assert shown["review-page"] == page
        assert f"](<{page}>)" in shown["review"]
        assert ("review serve" in shown["review"]) == (machinery.page_url is None)
        page_at, commands_at = shown["review"].index(page), shown["review"].index("neuroinspect review decide --out")
        assert page_at < commands_at


def test_a_run_in_a_server_of_mlflow_is_linked(prefect_server, monkeypatch):
    from flows import artifacts

    links = []
    monkeypatch.setattr(artifacts, "create_link_artifact", lambda link, text, **_: links.append(link))
    artifacts.show_tracked("http://127.0.0.1:5000/", "abc")
    artifacts.show_tracked(None, "abc")
    assert links == ["http://127.0.0.1:5000/#/runs/abc"]
