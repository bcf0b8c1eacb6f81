"""The policy file: what it may say, what is refused, and that the file of this project says what ships."""

from pathlib import Path

import pytest
import yaml

from neuroinspect.errors import SettingsError
from neuroinspect.machinery import Machinery, load_machinery
from neuroinspect.promotion import Bound, Policy, load_policy

OWN = Path(__file__).parents[3] / "mlflow" / "promotion.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "promotion.yaml"
    path.write_text(text)
    return path


def test_the_file_of_this_project_says_every_rule_as_it_ships():
    assert load_policy(OWN) == Policy()
    assert set(yaml.safe_load(OWN.read_text())) == set(Policy.model_fields)


def test_without_a_file_and_with_one_of_comments_the_rules_are_those_that_ship(tmp_path):
    assert load_policy(None) == Policy()
    assert load_policy(write(tmp_path, "# nothing\n")) == Policy()


def test_a_rule_can_be_changed_and_one_that_is_null_is_not_asked(tmp_path):
    policy = load_policy(write(tmp_path, "worst_class_over_parent: {least: 0.1}\nclass_auroc_over_parent: null\n"))
    assert policy.worst_class_over_parent == Bound(least=0.1, low=0.0)
    assert policy.class_auroc_over_parent is None
    assert policy.worst_class_over_placebo == Policy().worst_class_over_placebo


@pytest.mark.parametrize(("low", "asked"), [("", -0.03), (", low: null", None), (", low: -0.02", -0.02)])
def test_a_bound_that_leaves_its_low_end_out_asks_what_ships_and_null_asks_nothing(tmp_path, low, asked):
    policy = load_policy(write(tmp_path, f"average_over_parent: {{least: -0.005{low}}}"))
    assert policy.average_over_parent == Bound(least=-0.005, low=asked)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("worst_class: {least: 0.1}", "worst_class: unknown key"),
        ("worst_class_over_parent: {least: 0.1, above: 0}", r"worst_class_over_parent\.above: unknown key"),
        ("worst_class_over_parent: {low: 0.1}", r"worst_class_over_parent\.least: missing; add it"),
        ("worst_class_over_parent: 0.1", "worst_class_over_parent: "),
        ("worst_class_over_parent: {least: .nan}", r"worst_class_over_parent\.least: .*finite"),
        ("worst_class_over_parent: {least: 2}", "less than or equal to 1"),
        ("largest_class_loss: -0.1", "largest_class_loss: .*greater than or equal to 0"),
        ("largest_class_loss: .inf", "largest_class_loss: "),
        ("- a list", "expected a mapping of rules, got list"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, says):
    with pytest.raises(SettingsError, match=says):
        load_policy(write(tmp_path, text))


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.yaml cannot be read"):
        load_policy(tmp_path / "nowhere.yaml")


def test_the_policy_lies_beside_the_params_or_where_the_machinery_says(tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROINSPECT_PROMOTION_POLICY", raising=False)
    assert Machinery().promotion_policy is None
    assert load_machinery(tmp_path).promotion_policy is None
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "promotion.yaml").write_text("")
    assert load_machinery(tmp_path).promotion_policy == tmp_path / "mlflow" / "promotion.yaml"
    monkeypatch.setenv("NEUROINSPECT_PROMOTION_POLICY", "own/rules.yaml")
    assert load_machinery(tmp_path).promotion_policy == tmp_path / "own" / "rules.yaml"
