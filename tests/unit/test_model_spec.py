import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.data import create_transform
from torch import nn

from neuroinspect.errors import ModelSpecError, SettingsError, WeightsError
from neuroinspect.model_spec import build_model, importable, load_weights, pick_device, read_state, timm_preprocessing
from neuroinspect.settings import PreprocessingSettings


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 2))


class Wrapper(nn.Module):
    """Its own keys start with `module.`, like those of a replica."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 2)


@pytest.mark.parametrize("spec", ["resnet18", "timm:", ":x", ""])
def test_a_spec_without_source_and_name_is_refused(spec: str) -> None:
    with pytest.raises(ModelSpecError, match="expected timm:NAME"):
        build_model(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [("timm:resnet18x", "timm has no model 'resnet18x'.*resnet18"), ("torchvision:nope", "torchvision has no model")],
)
def test_an_unknown_name_is_refused(tmp_path: Path, spec: str, message: str) -> None:
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ModelSpecError, match=message):
        build_model(spec, weights=tmp_path / "w.safetensors")


def test_timm_preprocessing_is_that_of_timm_s_own_transform(tmp_path: Path) -> None:
    module = timm.create_model("vit_tiny_patch16_224", depth=12, num_classes=3)
    save_file(module.state_dict(), tmp_path / "w.safetensors")
    found = build_model("timm:vit_tiny_patch16_224", weights=tmp_path / "w.safetensors", num_classes=3).preprocessing
    config = timm.data.resolve_model_data_config(module)
    resize, crop = create_transform(**config).transforms[:2]
    assert found is not None
    assert (found.resize, found.image_size) == (resize.size, crop.size[0]) == (248, 224)
    assert (found.mean, found.interpolation) == (tuple(config["mean"]), "bicubic")


def test_torchvision_preprocessing_is_that_of_the_published_weights(tmp_path: Path) -> None:
    from torchvision.models import get_model

    save_file(get_model("squeezenet1_1", num_classes=3).state_dict(), tmp_path / "w.safetensors")
    found = build_model("torchvision:squeezenet1_1", weights=tmp_path / "w.safetensors", num_classes=3)
    assert found.preprocessing == PreprocessingSettings(image_size=224, resize=256)


def test_a_torchvision_model_that_turns_its_input_itself_does_so_behind_the_published_preprocessing(tmp_path) -> None:
    from torchvision.models import googlenet

    torch.manual_seed(0)
    source = googlenet(num_classes=3, init_weights=False, transform_input=True).eval()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    found = build_model("torchvision:googlenet", weights=tmp_path / "w.safetensors", num_classes=3)
    images = torch.rand(2, 3, 64, 64)
    assert found.preprocessing == PreprocessingSettings(image_size=224, resize=256)
    assert torch.equal(found.module.eval()(images), source(images))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_weights_for_one_channel_make_a_timm_model_of_one_channel(tmp_path: Path, name: str) -> None:
    save_file(timm.create_model(name, num_classes=3, in_chans=1).state_dict(), tmp_path / "w.safetensors")
    found = build_model(f"timm:{name}", weights=tmp_path / "w.safetensors", num_classes=3)
    config = timm.data.resolve_model_data_config(found.module)
    assert found.preprocessing is not None
    assert found.preprocessing.channels == 1
    red, green, blue = config["mean"]
    assert found.preprocessing.mean == pytest.approx((0.299 * red + 0.587 * green + 0.114 * blue,))
    size = found.preprocessing.image_size
    assert found.module(torch.zeros(1, 1, size, size)).shape == (1, 3)


def test_a_factory_s_timm_model_brings_its_own_preprocessing(tmp_path: Path) -> None:
    body = "import timm\ndef make(): return timm.create_model('test_vit', num_classes=2)"
    (tmp_path / "mine.py").write_text(body)
    module = timm.create_model("test_vit", num_classes=2)
    assert build_model("mine:make", python_path=tmp_path).preprocessing == timm_preprocessing(module)


# weights


def test_a_layer_without_a_bias_takes_the_one_that_an_edit_gave_it(tmp_path: Path) -> None:
    source, target = small(), nn.Sequential(*small()[:2], nn.Linear(4, 2, bias=False))
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target[2].bias, source[2].bias)


def test_two_biases_too_many_are_refused(tmp_path: Path) -> None:
    save_file(small().state_dict(), tmp_path / "w.safetensors")
    target = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), nn.Linear(4, 2, bias=False))
    with pytest.raises(WeightsError, match=r"2 unexpected \(0.bias, 2.bias\)"):
        load_weights(target, tmp_path / "w.safetensors")


def test_a_model_that_asks_for_the_version_of_its_layers_loads_from_a_file_of_tensors(tmp_path: Path) -> None:
    from torchvision.models import mnasnet0_5

    source = mnasnet0_5(num_classes=2)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    target = mnasnet0_5(num_classes=2)
    load_weights(target, tmp_path / "w.safetensors")
    assert torch.equal(target.classifier[1].weight, source.classifier[1].weight)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_are_loaded_exactly(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    source, target, path = small(), small(), tmp_path / f"w.{suffix}"
    if suffix == "pt":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    load_weights(target, path)
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in target.state_dict().items())


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "model."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
def test_checkpoints_of_trainers_compilers_and_replicas_are_unwrapped(tmp_path, prefix: str, wrapper) -> None:
    torch.manual_seed(0)
    source, target = small(), small()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(state if wrapper is None else {"epoch": 3, wrapper: state}, tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert torch.equal(target[2].weight, source[2].weight)


def test_a_prefix_that_is_the_model_s_own_is_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source, target = Wrapper(), Wrapper()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    load_weights(target, tmp_path / "w.pt")
    assert torch.equal(target.module.weight, source.module.weight)


def test_a_state_dict_that_does_not_fit_names_the_first_keys(tmp_path: Path) -> None:
    state = small().state_dict()
    state["2.weight"], state["head.weight"] = torch.zeros(9, 4), torch.zeros(1)
    del state["0.bias"]
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_weights(small(), tmp_path / "w.safetensors")
    for part in ("1 missing (0.bias)", "1 unexpected (head.weight)", "of another shape (2.weight)", "(9, 4)", "(2, 4)"):
        assert part in str(caught.value)


def test_a_pickled_module_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "m.pt")
    with pytest.raises(WeightsError, match=r"pickled object.*could run any code; save its state dict"):
        read_state(tmp_path / "m.pt")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"not weights at all, just some text"])
def test_a_damaged_file_is_called_unreadable(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match="is not a readable"):
        read_state(tmp_path / name)


def test_a_file_of_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="holds list, expected a state dict"):
        read_state(tmp_path / "w.pt")


# factories


def factory_error(folder: Path, body: str, spec: str = "mine:make") -> str:
    (folder / "mine.py").write_text(body)
    with pytest.raises(ModelSpecError) as caught:
        build_model(spec, python_path=folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import nowhere_to_be_found", "cannot import 'mine': No module named 'nowhere_to_be_found'"),
        ("def make(:", "cannot import 'mine': invalid syntax"),
        ("import sys; sys.nothing", "cannot import 'mine': module 'sys' has no attribute 'nothing'"),
        ("make = 3", "mine:make is int, expected a function"),
        ("other = 3", "module 'mine' has no 'make'"),
        ("def make(): raise KeyError('weights')", "mine:make failed: 'weights'"),
        ("def make(): return 3", "mine:make returned int, expected a torch module"),
    ],
)
def test_a_factory_that_does_not_work_says_why(tmp_path: Path, body: str, message: str) -> None:
    assert message in factory_error(tmp_path, body)


def test_preprocessing_of_a_factory_that_does_not_fit_says_why(tmp_path: Path) -> None:
    body = "from torch import nn\ndef make():\n    m = nn.Linear(1, 1)\n    m.preprocessing = {'sise': 3}\n    return m"
    assert "sise" in factory_error(tmp_path, body)


def test_a_python_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelSpecError, match=r"python_path .*nowhere is not a folder"):
        build_model("mine:make", python_path=tmp_path / "nowhere")


def test_modules_of_the_same_name_in_two_folders_are_both_found(tmp_path: Path) -> None:
    for name, width in (("a", 3), ("b", 5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(f"from torch import nn\ndef make(): return nn.Linear(1, {width})")
    before = list(sys.path)
    widths = [build_model("mine:make", python_path=tmp_path / name).module.out_features for name in ("a", "b")]
    assert widths == [3, 5]
    assert sys.path == before
    assert "mine" not in sys.modules


def test_a_search_under_way_in_another_thread_misses_no_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", ["first", "second", *sys.path])
    started = iter(sys.path)
    before = [next(started)]
    with importable(tmp_path):
        assert sys.path[0] == str(tmp_path)
        before.append(next(started))
    assert [*before, *started] == sys.path


def test_the_number_of_classes_is_passed_to_a_factory_that_takes_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def make(num_classes=2): return nn.Linear(1, num_classes)\n"
        "def fixed(): return nn.Linear(1, 4)\n"
    )
    assert build_model("mine:make", python_path=tmp_path, num_classes=7).module.out_features == 7
    assert build_model("mine:fixed", python_path=tmp_path, num_classes=7).module.out_features == 4


@pytest.mark.parametrize("device", ["foo", "meta", "cuda:99"])
def test_a_device_that_is_not_there_is_one_message(device: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot use the device '{device}' .*; give cpu"):
        pick_device(device)


def test_a_device_left_out_is_one_that_works() -> None:
    assert pick_device(None) == torch.device("cuda" if torch.cuda.is_available() else "cpu")
