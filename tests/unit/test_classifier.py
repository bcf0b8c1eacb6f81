from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from neuroinspect.classifier import Classifier, load_classifier
from neuroinspect.errors import DataError, ModelError, UnsupportedModelError, WeightsError
from neuroinspect.settings import PreprocessingSettings

SIZE = 16
SMALL = PreprocessingSettings(image_size=SIZE)


def network(classes: int = 3, *, stride: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 6, 3, padding=1, stride=stride), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(6, classes))


def classifier(module: nn.Module | None = None, **options: object) -> Classifier:
    return Classifier(module or network(), preprocessing=SMALL, device="cpu", **options)  # type: ignore[arg-type]


def images(count: int = 4, size: int = SIZE) -> Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(1))


def test_features_times_weight_plus_bias_are_the_logits() -> None:
    model = classifier()
    features, logits = model.features_and_logits(images())
    layer = model.decision_layer
    assert features.shape == (4, model.num_features) == (4, 6)
    assert torch.allclose(features @ layer.weight.T + layer.bias, logits, atol=1e-6)
    assert torch.equal(model(images()), logits)
    assert torch.equal(model.features(images()), features)


def test_gradients_of_features_reach_the_images_and_not_the_weights() -> None:
    model, inputs = classifier(), images().requires_grad_()
    model.features(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad.abs().sum() > 0
    assert all(weight.grad is None and not weight.requires_grad for weight in model.module.parameters())


def test_the_mean_of_a_channel_map_is_the_feature() -> None:
    model = classifier()
    maps = model.activation_maps(images())
    assert model.maps_kind == "channel"
    assert torch.allclose(maps.mean((2, 3)), model.features(images()), atol=1e-6)
    assert torch.equal(
        model.activation_maps(images(2), torch.tensor([5, 0]))[1], model.activation_maps(images(2))[1, 0]
    )


def test_the_model_is_in_evaluation_mode_so_a_picture_does_not_depend_on_its_batch() -> None:
    model = classifier(network().train())
    assert torch.allclose(model(images(4))[:1], model(images(4)[:1]), atol=1e-6)


def test_hooks_are_gone_after_every_call_and_after_an_exception() -> None:
    model = classifier()
    for call in (model.features, model.activation_maps):
        call(images())
        with pytest.raises(RuntimeError):
            call(images().to(torch.complex64))
    layers = list(model.module.modules())
    assert sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in layers) == 0


def test_images_of_another_size_are_refused_with_the_way_out() -> None:
    for call in (classifier(), classifier().features, classifier().activation_maps):
        with pytest.raises(DataError, match=r"expected images of shape \(N, 3, 16, 16\), got \(4, 3, 20, 20\)"):
            call(images(size=20))


def test_a_single_logit_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedModelError, match=r"single logit.*weight \[-w/2, w/2\]"):
        classifier(network(1))


def test_two_logits_made_from_one_as_the_message_says_decide_the_same() -> None:
    single = network(1)
    layer = nn.Linear(6, 2)
    layer.weight.data = torch.cat([-single[-1].weight / 2, single[-1].weight / 2]).detach()
    layer.bias.data = torch.cat([-single[-1].bias / 2, single[-1].bias / 2]).detach()
    model = classifier(nn.Sequential(*single[:-1], layer))
    with torch.no_grad():
        expected = torch.sigmoid(single.eval()(images()))[:, 0]
    assert torch.allclose(model(images()).softmax(1)[:, 1], expected, atol=1e-6)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "b"), tuple("abcdefgh")])
def test_class_names_that_do_not_match_the_logits_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=f"3 logits, but {len(names)} class names"):
        classifier(class_names=names)


def test_class_names_are_the_numbers_where_nothing_is_known() -> None:
    assert classifier().class_names == ("0", "1", "2")


def test_normalising_is_minus_mean_over_deviation() -> None:
    settings = PreprocessingSettings(image_size=SIZE, mean=(0.1, 0.2, 0.3), std=(0.5, 0.4, 0.2))
    model = Classifier(network(), preprocessing=settings, device="cpu")
    half = model.normalize(torch.full((1, 3, SIZE, SIZE), 0.5))
    assert half[0, :, 0, 0].tolist() == pytest.approx([0.8, 0.75, 1.0])


def test_a_model_of_one_channel_sees_the_luma_and_passes_gradients_to_all_colours() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    grey = PreprocessingSettings(image_size=SIZE, mean=(0.5,), std=(0.5,))
    classifier_ = Classifier(model, preprocessing=grey, device="cpu")
    colours = images().requires_grad_()
    classifier_.features(classifier_.normalize(colours)).sum().backward()
    assert (colours.grad.abs().sum((0, 2, 3)) > 0).all()
    assert classifier_.activation_maps(classifier_.normalize(images())).shape == (4, 6, SIZE - 2, SIZE - 2)
    with pytest.raises(
        DataError, match=r"expected images of shape \(N, 1, 16, 16\), got \(4, 3, 16, 16\); give `normalize`"
    ):
        classifier_(images())


def test_a_model_in_half_precision_is_run_in_float32() -> None:
    model = classifier(network().half())
    assert model(images()).dtype == torch.float32


def test_the_fingerprint_changes_with_weights_names_preprocessing_and_architecture_alone() -> None:
    first, same = classifier(), classifier()
    with torch.no_grad():
        other = network()
        other[0].weight[0, 0, 0, 0] += 1e-3
    larger = Classifier(network(), preprocessing=PreprocessingSettings(image_size=SIZE, resize=20), device="cpu")
    variants = [classifier(other), classifier(class_names=("a", "b", "c")), larger, classifier(network(stride=2))]
    assert first.fingerprint == same.fingerprint
    assert len({first.fingerprint, *(variant.fingerprint for variant in variants)}) == 5


# load_classifier


def test_a_timm_model_is_loaded_with_its_weights(tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    module = timm.create_model("test_resnet", num_classes=4)
    save_file(module.state_dict(), tmp_path / "m.safetensors")
    settings = PreprocessingSettings(image_size=64)
    loaded = load_classifier(
        "timm:test_resnet", weights=tmp_path / "m.safetensors", num_classes=4, preprocessing=settings, device="cpu"
    )
    with torch.no_grad():
        assert torch.allclose(loaded(images(size=64)), module.eval()(images(size=64)), atol=1e-5)


def test_a_factory_in_a_folder_is_loaded_with_its_names_and_preprocessing(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    m = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))\n"
        "    m.class_names = ['cat', 'dog']\n"
        "    m.preprocessing = {'image_size': 16, 'mean': (0.5, 0.5, 0.5)}\n"
        "    return m\n"
    )
    loaded = load_classifier("mine:make", python_path=tmp_path, device="cpu")
    assert loaded.class_names == ("cat", "dog")
    assert loaded.preprocessing == PreprocessingSettings(image_size=16, mean=(0.5, 0.5, 0.5))
    named = load_classifier("mine:make", python_path=tmp_path, device="cpu", class_names=("x", "y"))
    assert named.class_names == ("x", "y")
    with pytest.raises(ModelError, match="num_classes is 3, but the decision layer of mine:make has 2"):
        load_classifier("mine:make", python_path=tmp_path, device="cpu", num_classes=3)


def test_missing_weights_are_named() -> None:
    with pytest.raises(WeightsError, match="has no weights"):
        load_classifier("timm:resnet18")
    with pytest.raises(WeightsError, match=r"no weights at .*gone\.safetensors"):
        load_classifier("timm:resnet18", weights="gone.safetensors")
