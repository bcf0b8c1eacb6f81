import pytest
import torch
from torch import nn

from neuroinspect.classifier import Classifier
from neuroinspect.illusion.networks import prepare_networks, resolve_precision
from neuroinspect.settings import IllusionSettings, PreprocessingSettings
from tests.unit.illusion.networks import QUICK, SIZE, small_classifier

IMAGES = torch.rand((3, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(5))


def normalised_classifier(*, size: int = SIZE, channels: int = 3) -> Classifier:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    module[1].running_mean.normal_()
    module[1].weight.data.uniform_(0.5, 2)
    preprocessing = PreprocessingSettings(image_size=size, mean=(0.4,) * channels, std=(0.2,) * channels)
    return Classifier(module, preprocessing=preprocessing, device="cpu")


def expected(classifier: Classifier) -> tuple[torch.Tensor, torch.Tensor]:
    return classifier.features_and_logits(classifier.normalize(IMAGES))


@pytest.mark.parametrize("channels", [3, 1])
def test_the_lean_backbone_says_what_the_model_says(channels):
    classifier = normalised_classifier(channels=channels)
    networks = prepare_networks(classifier, None, QUICK)
    assert networks.backbone is not None
    for found, value in zip(networks.features_and_logits(IMAGES), expected(classifier), strict=True):
        torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-4)


def test_a_1x1_convolution_at_the_end_works_too():
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    classifier = Classifier(module, preprocessing=PreprocessingSettings(image_size=SIZE), device="cpu")
    networks = prepare_networks(classifier, None, QUICK)
    assert networks.backbone is not None
    for found, value in zip(networks.features_and_logits(IMAGES), expected(classifier), strict=True):
        torch.testing.assert_close(found, value, atol=1e-5, rtol=1e-4)


def test_larger_pictures_are_shrunk_to_what_the_classifier_sees():
    networks = prepare_networks(small_classifier(), None, QUICK)
    grey = torch.full((2, 3, 2 * SIZE, 2 * SIZE), 0.3)
    for found, value in zip(
        networks.features_and_logits(grey), networks.features_and_logits(grey[..., :SIZE, :SIZE]), strict=True
    ):
        torch.testing.assert_close(found, value)


def test_half_precision_is_near_and_leaves_the_model_as_it_is():
    classifier = normalised_classifier()
    networks = prepare_networks(classifier, None, IllusionSettings(precision="bfloat16"))
    assert networks.dtype is torch.bfloat16
    found, logits = networks.features_and_logits(IMAGES)
    assert found.dtype is logits.dtype is torch.float32
    torch.testing.assert_close(found, expected(classifier)[0], atol=0.05, rtol=0.05)
    assert {tensor.dtype for tensor in classifier.module.parameters()} == {torch.float32}


def test_where_no_copy_can_be_made_the_model_itself_is_asked():
    class Uncopied(nn.Sequential):
        def __deepcopy__(self, memo):
            raise TypeError("not this one")

    plain = normalised_classifier()
    classifier = Classifier(Uncopied(*plain.module), preprocessing=plain.preprocessing, device="cpu")
    networks = prepare_networks(classifier, None, QUICK)
    assert networks.backbone is None
    for found, value in zip(networks.features_and_logits(IMAGES), expected(classifier), strict=True):
        assert torch.equal(found, value)


def with_matrix_units(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": present})


def test_large_convolutions_take_bfloat16_where_the_processor_has_matrix_units(monkeypatch):
    with_matrix_units(monkeypatch, True)
    assert resolve_precision(normalised_classifier(size=128), "auto") == "bfloat16"
    assert resolve_precision(normalised_classifier(size=64), "auto") == "float32"
    with_matrix_units(monkeypatch, False)
    assert resolve_precision(normalised_classifier(size=128), "auto") == "float32"


def test_transformers_stay_in_float32(monkeypatch):
    with_matrix_units(monkeypatch, True)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 64, 64), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    module.insert(4, nn.Linear(4, 4))
    wide = nn.Linear(4, 20_000)
    module.insert(5, nn.Sequential(wide, nn.Linear(20_000, 4)))
    classifier = Classifier(module, preprocessing=PreprocessingSettings(image_size=128), device="cpu")
    assert resolve_precision(classifier, "auto") == "float32"


def test_a_wish_is_followed():
    for wish in ("float32", "bfloat16"):
        assert resolve_precision(small_classifier(), wish) == wish
