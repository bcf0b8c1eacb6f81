import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from neuroinspect.errors import ModelError, ModelSpecError, SettingsError, WeightsError
from neuroinspect.settings import GuideSettings
from neuroinspect.text_guide import (
    OpenClipGuide,
    TextGuide,
    bind_texts,
    class_direction,
    open_clip_guide,
    similarity_to,
)

ARCHITECTURE = "neuroinspect-test-clip"
TEMPLATES = GuideSettings().templates


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny architecture that open_clip knows for the length of the tests."""
    folder = tmp_path_factory.mktemp("clip")
    config = {
        "embed_dim": 8,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1},
    }
    (folder / f"{ARCHITECTURE}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    model = open_clip.create_model(ARCHITECTURE)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "clip.safetensors")
    return folder / "clip.safetensors"


@pytest.fixture(scope="module")
def guide(weights: Path) -> TextGuide:
    return open_clip_guide(f"{ARCHITECTURE}/{weights}", device="cpu")


class TwoWords:
    """A guide whose embeddings are known: `cat` points up, `dog` right, at different lengths."""

    fingerprint = "two words"

    def encode_images(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))[:, :2]

    def encode_texts(self, texts: list[str]) -> Tensor:
        return torch.tensor([[0.0, 3.0] if "cat" in text else [5.0, 0.0] for text in texts])


def test_a_local_file_becomes_a_guide_without_network(guide):
    assert isinstance(guide, TextGuide)
    assert guide.encode_images(torch.rand(2, 3, 32, 32)).shape == (2, 8)
    assert guide.encode_texts(["a cat", "a dog", "a tree"]).shape == (3, 8)


def test_the_embeddings_are_those_of_open_clip(guide, weights):
    model, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE, pretrained=str(weights))
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    normalise = preprocess.transforms[-1]
    with torch.no_grad():
        expected = model.eval().encode_image(normalise(image))
        words = model.encode_text(open_clip.get_tokenizer(ARCHITECTURE)(["a cat"]))
    torch.testing.assert_close(guide.encode_images(image), expected)
    torch.testing.assert_close(guide.encode_texts(["a cat"]), words)


@pytest.mark.parametrize("shape", [(64, 64), (20, 48), (32, 32)])
def test_images_of_any_size_and_shape_are_resized_with_a_gradient(guide, shape):
    images = torch.rand(2, 3, *shape, requires_grad=True)
    guide.encode_images(images).sum().backward()
    assert images.grad is not None
    assert images.grad.abs().amax((1, 2, 3)).min() > 0


def test_resizing_keeps_a_plain_colour(guide):
    small, large = torch.full((1, 3, 32, 32), 0.3), torch.full((1, 3, 50, 41), 0.3)
    torch.testing.assert_close(guide.encode_images(small), guide.encode_images(large), atol=1e-5, rtol=1e-4)


def test_its_weights_are_frozen(guide):
    assert not any(parameter.requires_grad for parameter in guide._model.parameters())
    assert not guide.encode_texts(["a cat"]).requires_grad


def test_the_fingerprint_follows_the_weights_and_not_the_file(guide, weights, tmp_path):
    moved = tmp_path / "other.safetensors"
    moved.write_bytes(weights.read_bytes())
    assert open_clip_guide(f"{ARCHITECTURE}/{moved}", device="cpu").fingerprint == guide.fingerprint
    model = open_clip.create_model(ARCHITECTURE)
    other = OpenClipGuide(model, open_clip.get_tokenizer(ARCHITECTURE), image_size=(32, 32), device="cpu")
    assert other.fingerprint != guide.fingerprint


def test_a_model_nobody_knows_is_refused():
    with pytest.raises(ModelSpecError, match="open_clip has no model 'nonsense'"):
        open_clip_guide("nonsense/tag", device="cpu")


def test_a_guide_without_weights_is_refused():
    with pytest.raises(ModelSpecError, match="has no weights; give ViT-B-32/TAG or ViT-B-32/FILE"):
        open_clip_guide("ViT-B-32", device="cpu")


def test_a_tag_nobody_knows_is_refused_with_the_known_ones():
    with pytest.raises(WeightsError, match=r"neither a file nor a tag of ViT-B-32; its tags are .*laion2b_s34b_b79k"):
        open_clip_guide("ViT-B-32/laion9", device="cpu")


def test_a_tag_that_cannot_be_fetched_points_to_a_local_file(monkeypatch):
    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(ModelSpecError, match=r"no network.*give a local file: open_clip:ViT-B-32/FILE"):
        open_clip_guide("ViT-B-32/laion2b_s34b_b79k", device="cpu")


def test_weights_of_another_model_are_refused(weights, tmp_path):
    save_file({"other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="missing"):
        open_clip_guide(f"{ARCHITECTURE}/{tmp_path / 'other.safetensors'}", device="cpu")


def test_a_local_file_gets_the_normalisation_its_published_tags_agree_on():
    from neuroinspect.text_guide import _OPENAI, _published_normalisation

    siglip = open_clip.list_pretrained_tags_by_model("ViT-B-16-SigLIP")
    assert _published_normalisation("ViT-B-16-SigLIP", siglip) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert _published_normalisation(ARCHITECTURE, []) == _OPENAI


def test_a_direction_is_the_mean_over_templates_of_length_one():
    found = class_direction(TwoWords(), "{}", ("a cat near {}", "a dog near {}"))
    torch.testing.assert_close(found, torch.tensor([0.5**0.5, 0.5**0.5]))


def test_the_length_of_an_embedding_does_not_count():
    found = class_direction(TwoWords(), "dog", ("a {}", "the {}"))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("templates", [(), ("a photo",), ("a {}", "b")])
def test_templates_without_a_place_for_the_class_are_refused(templates):
    with pytest.raises(SettingsError, match=r"guide\.templates"):
        class_direction(TwoWords(), "cat", templates)


def test_classes_get_their_texts():
    settings = GuideSettings(class_texts={"n02": "red fox"})
    bound = bind_texts(TwoWords(), ("sea_lion", "n02"), settings)
    assert bound.texts == ("sea lion", "red fox")
    assert bound.templates == TEMPLATES


def test_a_text_for_a_class_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match=r"guide\.class_texts names dgo; the classes are cat, dog"):
        bind_texts(TwoWords(), ("cat", "dog"), GuideSettings(class_texts={"dgo": "dog"}))


class Given:
    """A guide that does what it is told to."""

    fingerprint = "given"

    def __init__(self, encode: Callable[..., Any]) -> None:
        self.encode_images = self.encode_texts = encode


def fail(_: object) -> Tensor:
    raise KeyError("boom")


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (fail, "encode_images failed: KeyError: 'boom'"),
        (lambda images: images.mean((2, 3))[:, :2], r"encode_images gave \(4, 2\), .* \(4, 3\)"),
        (lambda images: images.mean(), r"encode_images gave \(\), .* \(4, 3\)"),
        (lambda images: [1.0], "encode_images gave list"),
        (lambda images: images.detach().mean((2, 3)), "no gradient"),
    ],
)
def test_a_guide_that_does_not_work_on_pictures_says_why(encode, message):
    images = torch.rand(4, 3, 8, 8, requires_grad=True)
    with pytest.raises(ModelError, match=message):
        similarity_to(Given(encode), images, torch.ones(4, 3))


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (fail, "encode_texts failed: KeyError: 'boom'"),
        (lambda texts: torch.ones(3), r"encode_texts gave \(3,\), .* \(2, D\)"),
        (lambda texts: torch.full((2, 3), torch.nan), "'fish' that are NaN"),
    ],
)
def test_a_guide_that_does_not_work_on_texts_says_why(encode, message):
    with pytest.raises(ModelError, match=message):
        class_direction(Given(encode), "fish", ["a {}", "the {}"])


def test_embeddings_of_pictures_that_are_nan_are_refused_before_a_picture_is_made():
    with pytest.raises(ModelError, match="encode_images gives embeddings that are NaN"):
        similarity_to(Given(lambda images: images.mean((2, 3)) * torch.nan), torch.rand(4, 3, 8, 8), torch.ones(4, 3))
