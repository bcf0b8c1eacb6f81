from dataclasses import replace

from neuroinspect.report.sections import missing_edits, overview, split_views, tries


def test_the_judge_split_comes_before_the_test_split(material_of):
    plots = {}
    views = split_views(material_of(test=True), plots)
    assert [view.name for view in views] == ["judge", "test"]
    assert [view.title for view in views] == ["Judge split, 960 pictures", "Test split, 1,200 pictures"]
    assert {"judge-class-auroc.svg", "test-class-auroc.svg", "judge-classes.svg"} <= set(plots)


def test_without_groups_there_is_no_cross_cue_plot(material_of):
    plots = {}
    split_views(material_of(groups=False), plots)
    assert "judge-class-auroc.svg" in plots
    assert "judge-cross-cue-auroc.svg" not in plots


def test_a_plot_is_told_in_words(material_of):
    (view,) = split_views(material_of(), {})
    assert "Cue erasure (recommended) 0.985, 0.973 to 0.995" in view.forests[0].svg


def test_an_original_alone_has_no_controls_to_plot(material_of):
    (view,) = split_views(material_of(status="nothing_to_explain"), {})
    assert view.forests == ()
    assert view.edited is None
    assert {tile.after for tile in view.tiles} == {None}


def test_where_nothing_was_evaluated_the_figures_of_extract_are_shown(material_of):
    material = material_of(status="nothing_to_explain")
    (view,) = split_views(replace(material, metrics={**material.metrics, "splits": {}}), {})
    assert view.name == "judge"
    assert [tile.title for tile in view.tiles] == ["Worst class", "Average accuracy"]


def test_the_overview_has_a_line_for_each_split(material_of):
    assert [line[0] for line in overview(material_of(test=True))] == ["judge", "test", "select", "train"]


def test_many_classes_leave_the_plot_but_not_the_table(material_of):
    (view,) = split_views(material_of(classes=tuple(f"class {index:02d}" for index in range(30))), {})
    assert view.classes_left_out == 10
    assert len(view.classes) == 30


def test_each_method_lists_its_tries_and_the_one_that_was_chosen(material_of):
    lines = tries(material_of())
    assert len(lines) == 5 * 5
    assert [line[1] for line in lines if line[-1]] == ["strength 0.5"] * 5


def test_what_was_refused_is_told_with_its_reason(material_of):
    material = material_of()
    edit = {**material.edit, "refused": {"con": "too few."}, "placebo_refused": {"cue_erasure": 1, "ratio": 3}}
    assert missing_edits(replace(material, edit=edit)) == [
        "Contribution penalty refused: too few.",
        "Cue erasure: 1 placebo draw refused, and left out.",
        "The paper's edit: 3 placebo draws refused, and left out.",
    ]
    assert missing_edits(material) == []
