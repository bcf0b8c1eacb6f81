from dataclasses import replace

import pytest

from neuroinspect.artifacts import read_json, write_json
from neuroinspect.errors import ArtifactError
from neuroinspect.report import read_material, render_page
from neuroinspect.report.checks import PAGE, read_checks, render_checks, stage_checks
from tests.report_run import Variant, build_run, write_checks

NASTY = "<script>alert('boat')</script>"


@pytest.fixture
def checked(tmp_path):
    """A drawn run whose first stages were checked; extract failed."""
    run, params = build_run(tmp_path, Variant(status="nothing_to_explain"))
    write_checks(run, "extract", failing=NASTY)
    write_checks(run, "validate")
    return run, params


def section(html):
    start = html.index('<section id="checks"')
    return html[start : html.index("</section>", start)]


def test_the_stages_come_in_the_order_of_the_chain_with_what_holds(checked):
    validate, extract = stage_checks(read_checks(checked[0]))
    assert (validate.stage, validate.held, validate.failed) == ("validate", 2, ())
    assert (extract.stage, extract.held, len(extract.failed)) == ("extract", 1, 1)


def test_a_failure_names_ten_rows_and_counts_the_others(checked):
    (failure,) = stage_checks(read_checks(checked[0]))[1].failed
    assert failure.kind == "expect_column_values_to_be_in_set (label)"
    assert failure.found.startswith(f"12 rows: path train/0.bmp (label {NASTY}); path train/1.bmp")
    assert failure.found.endswith("; and 2 more")


def test_checks_of_an_earlier_state_of_a_stage_are_left_out(checked):
    run, _ = checked
    path = run.stage("extract") / "stage.json"
    write_json(path, {**read_json(path), "inputs_hash": "another"})
    assert list(read_checks(run)) == ["validate"]


def test_a_damaged_record_is_named(checked):
    run, _ = checked
    (run.root / "checks" / "extract.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"extract\.json"):
        read_checks(run)


def test_the_report_counts_links_and_names_what_fails(checked, tmp_path):
    html = section(render_page(read_material(*checked, data_root=tmp_path)).html)
    assert f'href="{PAGE}"' in html
    assert "2 ✓" in html
    assert "1 ✗" in html
    assert "What does not hold after extract" in html
    assert "What does not hold after validate" not in html
    assert "<script>" not in html


def test_the_link_of_the_report_leads_to_the_page(checked):
    run, _ = checked
    assert (run.stage("report") / PAGE).resolve() == (run.root / "checks" / "data_docs" / "index.html").resolve()


def test_a_run_without_checks_has_no_such_section(checked, tmp_path):
    material = replace(read_material(*checked, data_root=tmp_path), checks={})
    html = render_page(material).html
    assert 'id="checks"' not in html
    assert "#checks" not in html


def test_the_page_of_the_checks_is_the_same_whatever_the_order_of_the_records(checked):
    records = read_checks(checked[0])
    backwards = dict(reversed(records.items()))
    assert list(backwards) != list(records)
    assert render_checks(records) == render_checks(backwards)


def test_the_page_of_the_checks_puts_failures_first_and_escapes_values(checked):
    html = render_checks(read_checks(checked[0]))
    extract = html[html.index('<section id="extract"') :]
    assert extract.index("✗ fails") < extract.index("✓ holds")
    assert "1,920 rows" in extract
    assert "<script>" not in html
