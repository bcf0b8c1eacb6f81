from dataclasses import replace

from neuroinspect.report.retest import retest_views


def test_the_finding_stands_first_and_without_its_title(material_of):
    (view,) = retest_views(material_of())
    assert (view.title, view.status, view.recommended) == ("Cue erasure", "gone", True)
    assert view.finding.startswith("Of 81 mistakes on boat, 70 are fixed")
    assert view.sentences == (
        "Of 131 pictures of other classes that show the cue, 88 were right before and 119 after.",
    )


def test_neurons_that_took_the_place_come_before_other_new_ones(material_of):
    (view,) = retest_views(material_of(status="found_no_gain"))
    assert [(line.neuron, line.what, line.marked) for line in view.neurons] == [
        (12, "chosen", False),
        (31, "chosen", False),
        (44, "chosen", False),
        (63, "new, carries the cue", True),
        (7, "new", False),
    ]
    assert view.neurons[0].before == "too weak in 95\N{NO-BREAK SPACE}%, rank 1"
    assert view.neurons[0].after == "not named"


def test_a_cue_neuron_under_the_first_is_told_and_not_marked(material_of):
    material = material_of()
    erased = material.retest["layers"]["cue_erasure"]
    first, *rest = erased["chosen"]
    late = {**first, "after": {"rank": material.retest["top"] + 1, "vote_share": 0.03}}
    retest = {**material.retest, "layers": {"cue_erasure": {**erased, "chosen": [late, *rest]}}}
    (view,) = retest_views(replace(material, retest=retest))
    assert (view.neurons[0].after, view.neurons[0].marked) == ("too weak in 3\N{NO-BREAK SPACE}%, rank 11", False)


def test_pictures_of_other_classes_with_the_cue_are_told_by_group(material_of):
    (view,) = retest_views(material_of())
    assert view.source == "by their group, water"
    line = view.pictures[1]
    assert line.kind == "other classes with water"
    assert line.right == ("67.2\N{NO-BREAK SPACE}%", "90.8\N{NO-BREAK SPACE}%")
    assert line.called == ("23.7\N{NO-BREAK SPACE}%", "4.6\N{NO-BREAK SPACE}%")
    assert view.estimated[0].kind == "boat without the cue"


def test_without_groups_the_table_is_the_estimated_one(material_of):
    (view,) = retest_views(material_of(groups=False))
    assert view.source == "as the chosen neurons see it"
    assert [line.count for line in view.pictures] == ["133", "131", "27", "669"]
    assert view.estimated == ()


def test_a_run_that_edited_nothing_has_no_retest(material_of, page_of):
    assert retest_views(material_of(status="nothing_found")) == []
    assert retest_views(replace(material_of(), retest={})) == []
    assert 'id="retest"' not in page_of(status="nothing_found").html
    assert 'id="retest"' in page_of().html
