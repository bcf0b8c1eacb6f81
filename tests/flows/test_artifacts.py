import re

from neuroinspect.artifacts import RunFolder


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


def test_a_run_in_a_server_of_mlflow_is_linked(prefect_server, monkeypatch):
    from flows import artifacts

    links = []
    monkeypatch.setattr(artifacts, "create_link_artifact", lambda link, text, **_: links.append(link))
    artifacts.show_tracked("http://127.0.0.1:5000/", "abc")
    artifacts.show_tracked(None, "abc")
    assert links == ["http://127.0.0.1:5000/#/runs/abc"]
