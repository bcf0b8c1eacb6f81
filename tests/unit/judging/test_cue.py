"""The group that goes with a class."""

from neuroinspect.judging.cue import cue_group


def test_the_most_over_represented_group_is_the_cue() -> None:
    targets = [0, 0, 0, 0, 1, 1, 1, 1]
    groups = ["snow", "snow", "snow", "sand", "sand", "sand", "snow", "night"]
    assert cue_group(targets, groups, class_index=0) == "snow"
    assert cue_group(targets, groups, class_index=1) == "night"


def test_without_groups_or_without_a_difference_there_is_no_cue() -> None:
    assert cue_group([0, 0, 1], [None, None, None], class_index=0) is None
    assert cue_group([0, 1], ["snow", "snow"], class_index=0) is None
    assert cue_group([0, 0], ["snow", "sand"], class_index=0) is None
