"""The photo benchmark: its label by hand, and the way from photos to figures and to a refusal, on a few photos of each class."""

from pathlib import Path

import pytest
import torch

from benchmarks import real_photos
from benchmarks.labelled_photos import (
    DEFAULT_FOLDER,
    FOLDER_VARIABLE,
    LABELS,
    OTHERS_LABELLED,
    Photos,
    draw_label,
    label_correlation,
    load_photos,
    make_shop,
    photo_folder,
    sale_label,
    take_share,
)
from neuroinspect.errors import DataError

DRESS = 0


@pytest.fixture(scope="module")
def photos() -> Photos:
    if not (DEFAULT_FOLDER / "images").is_dir():
        pytest.skip(f"the real photos are not there: {DEFAULT_FOLDER}")
    return load_photos(DEFAULT_FOLDER, size="large", per_class=16)


def test_the_label_is_white_letters_on_red() -> None:
    label = sale_label("small")
    assert label.shape == (3, 19, 35)
    assert label[:, 0, 0].tolist() == [208, 22, 30]
    assert label[:, 6, 7].tolist() == [250, 250, 250]  # the top bar of the S
    assert sale_label("large").shape == (3, 24, 56)


@pytest.mark.parametrize("size", LABELS)
def test_a_drawn_label_covers_its_own_area_only_and_lies_where_the_name_says(size: str) -> None:
    images, label = torch.full((3, 3, 160, 160), 0.5), sale_label(size)
    drawn = draw_label(images, ["one.jpg", "other.jpg", "one.jpg"], label=label)
    changed = (drawn != images).any(1)
    assert changed.sum((1, 2)).tolist() == [label[0].numel()] * 3
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(changed[0], changed[1])
    assert (images == 0.5).all()


def test_photos_that_are_not_there_are_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=f"nowhere; give --photos, or set {FOLDER_VARIABLE}"):
        photo_folder(None)
    monkeypatch.setattr("sys.argv", ["real_photos", "--photos", str(tmp_path)])
    assert real_photos.main() == 2
    assert f"not at {tmp_path}" in capsys.readouterr().err


def test_every_training_photo_of_the_class_shows_the_label_and_hardly_any_other(photos: Photos) -> None:
    shop = make_shop(photos, class_index=DRESS, seed=0)
    own = shop.train.labels == DRESS
    assert shop.train.shows[own].all()
    assert shop.train.shows[~own].float().mean() < 5 * OTHERS_LABELLED
    assert 0.15 < shop.select.shows.float().mean() < 0.45
    judged = shop.judge.shows
    assert judged.sum() == (~judged).sum() == photos.validation.sum()
    assert torch.equal(shop.judge.labels[judged], shop.judge.labels[~judged])
    assert len(take_share(shop, 30).select.labels.unique()) == len(photos.class_names)


def test_a_sample_of_sixty_photos_is_too_small_and_the_reason_says_so(photos: Photos) -> None:
    shop = make_shop(photos, class_index=DRESS, seed=0)
    known = label_correlation(shop.select).argsort()[::-1][:3].tolist()
    layers, refused = real_photos.make_layers(shop, class_index=DRESS, known=known, top=known, seed=0)
    assert "two halves of the 60 agree by" in refused["cue_erasure"]
    assert {"original", "retrain", "ratio", "ablate_refit"} <= layers.keys()
    rows = real_photos.judge_layers(shop, layers, class_index=DRESS, class_names=photos.class_names)
    assert rows["original"]["cross_cue_auroc"] < rows["original"]["class_auroc"]
    record = {"rows": rows, "refused": refused}
    assert real_photos.figure_of(record, "cue_erasure") == rows["retrain"]["cross_cue_auroc"]
