"""What is expected of the tables between the stages, as suites of great-expectations.

Each stage gives its tables one after the other. A table without its columns ends the row: what builds on it would only
stumble over the same gap.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from neuroinspect.adapters import gx_tables
from neuroinspect.artifacts import RunFolder, read_table
from neuroinspect.dataset import SPLITS
from neuroinspect.ranking import Direction
from neuroinspect.settings import ChecksSettings

PICTURE_COLUMNS: Final = ("path", "label", "group", "split", "sha256", "pixels_sha256")
SAMPLE_COLUMNS: Final = ("path", "label", "target", "group", "sha256", "prediction")
NEURON_COLUMNS: Final = (
    "class",
    "neuron",
    "direction",
    "rank",
    "vote_share",
    "vote_share_insufficient",
    "vote_share_excessive",
    "weight",
    "probability_ratio",
    "activation_gap",
    "mean_activation",
)
_SHARES: Final = ("vote_share", "vote_share_insufficient", "vote_share_excessive")
_SHA256: Final = "^[0-9a-f]{64}$"
_HUGE: Final = sys.float_info.max


@dataclass(frozen=True, slots=True, eq=False)
class Suite:
    """A table and what is expected of it.

    Attributes:
        table: its name.
        rows: the table.
        named_by: the columns that name a row.
        expectations: of great_expectations, each with `meaning` in its meta: a sentence that says what holds.
    """

    table: str
    rows: pd.DataFrame
    named_by: tuple[str, ...]
    expectations: list[Any]


def validate_suites(run: RunFolder, thresholds: ChecksSettings) -> Iterator[Suite]:
    """The manifest, its counts and the quarantine."""
    noted = gx_tables.summary(run, "validate")
    manifest = read_table(run.stage("validate") / "manifest.parquet")
    name = "validate/manifest.parquet"
    yield Suite(name, manifest, ("path",), [_not_empty(), *_columns(PICTURE_COLUMNS)])
    if not set(PICTURE_COLUMNS) <= set(manifest.columns):
        return
    yield Suite(
        name,
        gx_tables.pictures(manifest),
        ("path",),
        [
            *_no_gaps(("path", "label", "split", "sha256", "pixels_sha256")),
            _unique("path", "every picture stands once"),
            _in_set("label", noted["classes"], "every label is a known class"),
            _in_set("split", SPLITS, "every split is a known one"),
            _matches("sha256", _SHA256, "every file has a SHA-256 of 64 hexadecimal digits"),
            _matches("pixels_sha256", _SHA256, "every picture has a SHA-256 of its pixels, of 64 hexadecimal digits"),
            _unique("sha256", "no file is there twice"),
            _unique("pixels_sha256", "no image is there twice, not even in another file"),
            _between("splits_with_it", "the same image does not lie in two splits", low=1, high=1),
        ],
    )
    yield Suite(
        "pictures of each split",
        gx_tables.split_counts(manifest, noted["splits"]),
        ("split",),
        [
            _between("pictures", f"the splits {', '.join(gx_tables.REQUIRED_SPLITS)} are there", low=1),
            _equal("pictures", "noted", "every split has the pictures that were counted when it was made"),
        ],
    )
    least = thresholds.min_class_count
    yield Suite(
        "pictures of each class",
        gx_tables.class_counts(manifest, noted["classes"]),
        ("split", "label"),
        [_between("pictures", f"every class has at least {least} pictures in every split", low=least)],
    )
    most = thresholds.max_quarantined_share
    yield Suite(
        "validate/quarantine.csv",
        gx_tables.quarantine(run, usable=len(manifest)),
        ("path",),
        [
            _row_count(noted["quarantined"], "the quarantine has the files that were counted when it was made"),
            *_columns(("path", "reason")),
            _between("share", f"at most {most:.1%} of the files lie in quarantine", high=most),
        ],
    )


def extract_suites(run: RunFolder, thresholds: ChecksSettings) -> Iterator[Suite]:
    """Samples and features of every split, against the manifest."""
    noted = gx_tables.summary(run, "extract")
    manifest = read_table(run.require("validate") / "manifest.parquet")
    samples, features = gx_tables.split_samples(run), gx_tables.split_features(run)
    yield Suite(
        "rows of each split",
        gx_tables.extracted_splits(manifest, samples, features, width=noted["features"]),
        ("split",),
        [
            _not_empty(),
            _between("sample_rows", "every split has samples", low=1),
            _between("feature_rows", "every split has features, as a matrix of floats", low=1),
            _equal("sample_rows", "manifest_rows", "every picture of the manifest has a sample"),
            _equal("feature_rows", "manifest_rows", "every picture of the manifest has features"),
            _equal("width", "noted_width", "the features are as wide as those of the classifier"),
        ],
    )
    for split, rows in samples.items():
        yield Suite(f"extract/samples.{split}.parquet", rows, ("path",), _columns(SAMPLE_COLUMNS))
    if not samples or any(not set(SAMPLE_COLUMNS) <= set(rows.columns) for rows in samples.values()):
        return
    classes, limit = noted["classes"], thresholds.max_feature
    last = len(classes) - 1
    yield Suite(
        "extract/samples and features",
        gx_tables.extracted_samples(manifest, samples, features, classes=classes),
        ("path",),
        [
            *_no_gaps(("path", "label", "target", "prediction", "sha256")),
            _unique("path", "every picture stands once"),
            _in_set("label", classes, "every label is a known class"),
            _between("target", f"a target is the number of a class, 0 to {last}", low=0, high=last),
            _between("prediction", f"a prediction is the number of a class, 0 to {last}", low=0, high=last),
            _equal("target_label", "label", "the target is the number of the label"),
            _equal("sha256", "manifest_sha256", "every sample is a picture of the manifest, in the same split"),
            _between("not_finite", "no feature is NaN or infinite", high=0),
            _between("smallest", f"no feature is below {-limit:g}", low=-limit),
            _between("largest", f"no feature is above {limit:g}", high=limit),
        ],
    )


def diagnose_suites(run: RunFolder, thresholds: ChecksSettings) -> Iterator[Suite]:
    """The ranked neurons; there may be none, where nothing is to explain or the mistakes have no neuron in common."""
    del thresholds  # nothing here is a matter of degree
    noted, extracted = gx_tables.summary(run, "diagnose"), gx_tables.summary(run, "extract")
    neurons = read_table(run.stage("diagnose") / "neurons.parquet")
    name, last = "diagnose/neurons.parquet", int(extracted["features"]) - 1
    yield Suite(
        name,
        neurons,
        ("neuron",),
        [
            _row_count(noted["neurons"], "the ranking has the neurons that were counted when it was made"),
            *_columns(NEURON_COLUMNS),
        ],
    )
    if not set(NEURON_COLUMNS) <= set(neurons.columns):
        return
    # Where every picture of the class is a mistake, the gap has nothing to compare them with.
    only_mistakes = noted["mistakes"] == noted["class_size"]
    filled = [column for column in NEURON_COLUMNS if column != "activation_gap" or not only_mistakes]
    yield Suite(
        name,
        neurons,
        ("neuron",),
        [
            *_no_gaps(filled),
            _unique_together(("class", "neuron"), "no neuron of a class stands twice"),
            _in_set("class", extracted["classes"], "the class is a known one"),
            _in_set("class", [noted["class"]], "the class is the one that was diagnosed"),
            _in_set("direction", [str(direction) for direction in Direction], "the direction is a known one"),
            _between("neuron", f"a neuron is a column of the features, 0 to {last}", low=0, high=last),
            _between("rank", "ranks start at 1", low=1),
            *(_between(column, "a vote share lies between 0 and 1", low=0, high=1) for column in _SHARES),
            _between("weight", "no weight is infinite", low=-_HUGE, high=_HUGE),
            _between("probability_ratio", "a probability ratio is not negative", low=0),
        ],
    )


SUITES: Final[dict[str, Callable[[RunFolder, ChecksSettings], Iterator[Suite]]]] = {
    "validate": validate_suites,
    "extract": extract_suites,
    "diagnose": diagnose_suites,
}


def _expectation(kind: str, meaning: str, **values: Any) -> Any:
    import great_expectations.expectations as gxe

    return getattr(gxe, kind)(meta={"meaning": meaning}, **values)


def _not_empty() -> Any:
    # An empty table would pass every expectation on its values.
    return _expectation("ExpectTableRowCountToBeBetween", "the table is not empty", min_value=1)


def _row_count(count: int, meaning: str) -> Any:
    return _expectation("ExpectTableRowCountToEqual", meaning, value=count)


def _columns(names: Sequence[str]) -> list[Any]:
    return [_expectation("ExpectColumnToExist", f"there is a column {name}", column=name) for name in names]


def _no_gaps(names: Sequence[str]) -> list[Any]:
    return [
        _expectation("ExpectColumnValuesToNotBeNull", f"no {name} is missing or NaN", column=name) for name in names
    ]


def _unique(column: str, meaning: str) -> Any:
    return _expectation("ExpectColumnValuesToBeUnique", meaning, column=column)


def _unique_together(columns: Sequence[str], meaning: str) -> Any:
    return _expectation("ExpectCompoundColumnsToBeUnique", meaning, column_list=list(columns))


def _in_set(column: str, values: Sequence[str], meaning: str) -> Any:
    return _expectation("ExpectColumnValuesToBeInSet", meaning, column=column, value_set=list(values))


def _matches(column: str, pattern: str, meaning: str) -> Any:
    return _expectation("ExpectColumnValuesToMatchRegex", meaning, column=column, regex=pattern)


def _between(column: str, meaning: str, *, low: float | None = None, high: float | None = None) -> Any:
    return _expectation("ExpectColumnValuesToBeBetween", meaning, column=column, min_value=low, max_value=high)


def _equal(one: str, other: str, meaning: str) -> Any:
    return _expectation(
        "ExpectColumnPairValuesToBeEqual", meaning, column_A=one, column_B=other, ignore_row_if="neither"
    )
