from dataclasses import replace

import pandas as pd
import pytest

from neuroinspect.report.mistakes import mistakes_of


def mistakes(predictions, **more):
    count = len(predictions)
    columns = {"path": [f"gone/{index:03d}.png" for index in range(count)], "label": "boat", "prediction": predictions}
    return pd.DataFrame({**columns, "group": None, **more})


def test_every_predicted_class_is_shown_in_turn(material_of):
    found = mistakes_of(replace(material_of(), mistakes=mistakes(["house"] * 5 + ["mug"] * 2 + ["tree"])))
    assert [shown.prediction for shown in found.shown][:4] == ["house", "mug", "tree", "house"]
    assert len(found.shown) == 8


def test_no_more_are_shown_than_asked_for(material_of):
    material = material_of()
    assert len(mistakes_of(material).shown) == material.params.report.mistakes_shown
    report = material.params.report.model_copy(update={"mistakes_shown": 0})
    assert mistakes_of(replace(material, params=material.params.model_copy(update={"report": report}))).shown == ()


def test_rare_classes_are_gathered_and_no_mistake_is_lost(material_of):
    predictions = [f"class {index % 20}" for index in range(50)]
    found = mistakes_of(replace(material_of(), mistakes=mistakes(predictions)))
    assert len(found.counts) == 8
    assert found.counts[-1][0] == "other classes"
    assert sum(count for _, count in found.counts) == 50


def test_pictures_come_from_the_data_folder(material_of):
    assert all(shown.picture is not None for shown in mistakes_of(material_of()).shown)


def test_a_picture_that_is_gone_is_none(material_of):
    found = mistakes_of(replace(material_of(), mistakes=mistakes(["mug"])))
    assert found.shown[0].picture is None


@pytest.mark.parametrize(("groups", "expected"), [(None, ()), (["sand", "sand", "snow"], (("sand", 2), ("snow", 1)))])
def test_groups_are_counted_where_they_are_known(material_of, groups, expected):
    table = mistakes(["mug"] * 3, **({} if groups is None else {"group": groups}))
    assert mistakes_of(replace(material_of(), mistakes=table)).groups == expected


def test_no_mistake_is_none(material_of):
    assert mistakes_of(material_of(status="nothing_to_explain")) is None
