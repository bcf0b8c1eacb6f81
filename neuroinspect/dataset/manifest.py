"""The manifest: every usable picture once, with its label, split and hash; the rest in quarantine with the reason."""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neuroinspect.dataset.images import check_files
from neuroinspect.dataset.sources import Source
from neuroinspect.errors import DataError
from neuroinspect.ports import Progress, silent

SPLITS = ("train", "select", "judge", "test")
_NAMED_SPLITS = ("train", "validation", "select", "judge", "test")
_VERSIONED = ("path", "label", "group", "split", "sha256")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_REPORT_EVERY = 64


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """What the run works on.

    Attributes:
        pictures: columns path, label, group, split (of SPLITS), sha256 of the file, pixels_sha256 of what it shows;
            sorted by split and path.
        quarantine: columns path, reason ("kind: details"); sorted.
        halved: whether `select` and `judge` are the two halves of one validation split.
    """

    pictures: pd.DataFrame
    quarantine: pd.DataFrame
    halved: bool

    @property
    def data_version(self) -> str:
        """SHA-256 (hex) of the pictures' rows: names, labels, groups, splits and contents, not places or times."""
        text = self.pictures[list(_VERSIONED)].to_json(orient="values", force_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def build_manifest(source: Source, *, seed: int, max_pixels: int, progress: Progress = silent) -> Manifest:
    """Open every picture once, put aside what cannot be used, and settle the splits.

    A picture that is there twice is kept once, also where the second file only decodes to the same pixels. In the order
    train, validation, select, judge, test, and then by path, the first copy stays: so of a picture in train and in an
    evaluation split the evaluation copy goes.

    Args:
        source: the pictures as listed.
        seed: of the halves of the validation split.
        max_pixels: larger pictures are not decoded.
        progress: told about every 64 pictures.

    Raises:
        DataError: an unknown split, a split or class with no usable picture, or one class only.
    """
    pictures = source.pictures
    if pictures.empty:
        raise DataError(f"there are no pictures in {source.root}")
    _check_split_names(set(pictures["split"]))
    order = pictures["split"].map(_NAMED_SPLITS.index)
    pictures = pictures.assign(order=order).sort_values(["order", "path"], kind="stable", ignore_index=True)
    checks = []
    files = [source.root / path for path in pictures["path"]]
    for done, check in enumerate(check_files(files, max_pixels=max_pixels), start=1):
        checks.append(check)
        if done % _REPORT_EVERY == 0 or done == len(pictures):
            progress("check pictures", done, len(pictures))
    pictures = pictures.assign(
        sha256=[check.sha256 for check in checks],
        pixels_sha256=[check.pixels_sha256 for check in checks],
        problem=pd.Series([check.problem for check in checks], dtype=object),
    )
    usable = pictures["problem"].isna()
    pictures.loc[usable, "problem"] = np.array(_duplicates(pictures[usable]), dtype=object)
    bad = pictures[pictures["problem"].notna()]
    quarantine = pd.concat([source.rejected, bad[["path", "problem"]].rename(columns={"problem": "reason"})])
    quarantine = quarantine.sort_values(["path", "reason"], ignore_index=True)
    good = pictures[pictures["problem"].isna()]
    _check_classes(good, source.classes, splits=pictures["split"].unique().tolist(), quarantine=quarantine)
    settled, halved = settle_splits(good, seed=seed)
    settled = settled.assign(order=settled["split"].map(SPLITS.index)).sort_values(["order", "path"], ignore_index=True)
    return Manifest(settled[[*_VERSIONED, "pixels_sha256"]], quarantine, halved)


def settle_splits(pictures: pd.DataFrame, *, seed: int) -> tuple[pd.DataFrame, bool]:
    """Turn the named splits into train, select, judge and perhaps test; True where validation was halved.

    validation and test become select and judge; validation alone is halved, class by class.
    """
    named = set(pictures["split"])
    if "validation" not in named:
        return pictures, False
    if "test" in named:
        return pictures.replace({"split": {"validation": "select", "test": "judge"}}), False
    rows = pictures[pictures["split"] == "validation"]
    halves = pd.Series(halve(rows["label"].tolist(), rows["sha256"].tolist(), seed=seed), index=rows.index)
    return pictures.assign(split=pictures["split"].where(pictures["split"] != "validation", halves)), True


def halve(labels: Sequence[str], sha256: Sequence[str], *, seed: int) -> list[str]:
    """`select` or `judge` for each picture, halves of every class that differ by one picture at most.

    The order within a class is that of a hash of seed and picture, so names and the order of the files play no part.
    Where a class is odd the smaller half of the whole gets the picture more.

    Raises:
        DataError: a class has a single picture.
    """
    halves = [""] * len(labels)
    sizes = {"select": 0, "judge": 0}
    for label in sorted(set(labels)):
        rows = [row for row, other in enumerate(labels) if other == label]
        if len(rows) < 2:
            raise DataError(
                f"class {label} has one picture in `validation`, which is halved into `select` and `judge`; add some "
                "of it, or give a `test` split"
            )
        rows.sort(key=lambda row: hashlib.sha256(f"{seed} {sha256[row]}".encode()).hexdigest())
        first, second = ("select", "judge") if sizes["select"] <= sizes["judge"] else ("judge", "select")
        for place, row in enumerate(rows):
            halves[row] = first if place % 2 == 0 else second
            sizes[halves[row]] += 1
    return halves


def quarantine_csv(quarantine: pd.DataFrame) -> str:
    """The quarantine as CSV text; a cell a spreadsheet would take for a formula starts with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "reason"])
    for row in quarantine[["path", "reason"]].itertuples(index=False):
        writer.writerow([f"'{cell}" if str(cell).startswith(_FORMULA_STARTS) else cell for cell in row])
    return text.getvalue()


def _duplicates(pictures: pd.DataFrame) -> list[str | None]:
    # Files with the same bytes have the same pixels, so the pixels alone tell.
    first: dict[str, tuple[str, str, str, str]] = {}
    reasons: list[str | None] = []
    columns = pictures[["path", "label", "split", "sha256", "pixels_sha256"]]
    for path, label, split, sha256, pixels in columns.itertuples(index=False):
        if pixels not in first:
            first[pixels] = (path, label, split, sha256)
            reasons.append(None)
            continue
        kept, its_label, its_split, its_sha256 = first[pixels]
        kind = "duplicate: the same" if split == its_split else f"leak: in `{split}`, the same"
        file = "" if sha256 == its_sha256 else ", in another file,"
        labelled = "" if label == its_label else f", there labelled {its_label}, here {label}"
        reasons.append(f"{kind} picture{file} as {kept} in `{its_split}`{labelled}")
    return reasons


def _check_split_names(named: set[str]) -> None:
    unknown = sorted(named - set(_NAMED_SPLITS))
    if unknown:
        raise DataError(f"unknown split {', '.join(unknown)}; a split is one of {', '.join(_NAMED_SPLITS)}")
    if "train" not in named:
        raise DataError("no picture has the split `train`; the decision layer is refitted on it")
    halves = named & {"select", "judge"}
    if "validation" in named and halves:
        raise DataError("`validation` is there beside `select` or `judge`; use either the one, or the other two")
    if "validation" not in named and len(halves) < 2:
        raise DataError("there is neither `validation`, nor both `select` and `judge`; what selects must not judge")


def _check_classes(
    pictures: pd.DataFrame, classes: Sequence[str], *, splits: Sequence[str], quarantine: pd.DataFrame
) -> None:
    aside = ""
    if len(quarantine):
        first = quarantine.iloc[0]
        aside = f" ({len(quarantine)} files were put in quarantine; the first: {first['path']}: {first['reason']})"
    if pictures.empty:
        raise DataError(f"no usable picture is left{aside}")
    if len(classes) < 2:
        raise DataError(f"there is one class only ({classes[0]}); a classifier needs pictures of two classes at least")
    counts = pictures.groupby(["split", "label"]).size()
    empty = [(split, label) for split in splits for label in classes if (split, label) not in counts.index]
    if empty:
        split, label = empty[0]
        more = f" and {len(empty) - 1} more such" if len(empty) > 1 else ""
        raise DataError(f"class {label} has no usable picture in `{split}`{more}; add some or remove the class{aside}")
