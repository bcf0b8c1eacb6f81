"""The small networks that ship with the package."""

import torch
from torch.nn import functional

from neuroinspect.demo.backbone import BACKBONE_WEIGHTS, FISH_FOREST_WEIGHTS, fish_forest_net, scale, scene_net
from neuroinspect.demo.clip import CLIP_WEIGHTS, SceneTokenizer, guide
from neuroinspect.demo.drawing import BACKGROUNDS, OBJECTS, draw, neutral_scenes
from neuroinspect.demo.pretrain import rescale_features
from neuroinspect.demo.scenario import DEFAULT_PLANT, planted_layer, scene_features, scenes_of
from neuroinspect.text_guide import TextGuide


def test_the_weights_are_at_most_six_megabytes() -> None:
    shipped = (BACKBONE_WEIGHTS, CLIP_WEIGHTS, FISH_FOREST_WEIGHTS)
    assert sum(path.stat().st_size for path in shipped) <= 6_000_000


def test_the_classifier_that_ships_is_the_one_the_default_scenario_trains() -> None:
    shipped, trained = fish_forest_net(), planted_layer(DEFAULT_PLANT)
    assert float(shipped.classifier.weight.detach().abs().max()) > 0.1
    assert torch.allclose(shipped.classifier.weight, trained.weight, rtol=0, atol=1e-4)
    # Biases are not held by any penalty: another processor's rounding moves them a little, and no decision with them.
    features = scene_features(scenes_of(DEFAULT_PLANT, "train"), scene_net())
    here, there = (functional.linear(features, one.weight, one.bias) for one in (shipped.classifier, trained))
    assert torch.allclose(here.softmax(1), there.softmax(1), rtol=0, atol=1e-3)
    assert torch.equal(here.argmax(1), there.argmax(1))


def test_the_small_clip_names_objects_and_backgrounds_it_was_never_shown() -> None:
    scenes = neutral_scenes(77, "zero-shot", 600)
    images = torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        embedded = functional.normalize(guide().encode_images(images), dim=1)
        for names, truth in ((OBJECTS, scenes.objects), (BACKGROUNDS, scenes.backgrounds)):
            texts = functional.normalize(guide().encode_texts([f"a photo of a {name}." for name in names]), dim=1)
            right = (embedded @ texts.T).argmax(1) == torch.from_numpy(truth)
            assert float(right.float().mean()) >= 0.9


def test_the_small_clip_is_a_text_guide_with_a_stable_fingerprint() -> None:
    assert isinstance(guide(), TextGuide)
    assert guide().fingerprint == guide().fingerprint


def test_the_tokenizer_keeps_the_end_of_text_at_the_highest_row() -> None:
    tokenizer = SceneTokenizer()
    rows = tokenizer(["a photo of a fish.", "zebra"])
    assert int(rows.max()) == tokenizer.vocabulary_size - 1
    assert rows.max(1).values.tolist() == [tokenizer.vocabulary_size - 1] * 2
    assert int(rows[1, 1]) == 0


def test_rescaling_gives_every_neuron_unit_deviation_and_keeps_their_order() -> None:
    model = scene_net()
    pictures = torch.from_numpy(draw(neutral_scenes(1, "rescale", 200)))
    with torch.no_grad():
        before = model.pooled(scale(pictures))
        rescale_features(model, pictures)
        after = model.pooled(scale(pictures))
    assert torch.allclose(after.std(0), torch.ones(after.shape[1]), atol=1e-3)
    assert torch.allclose(after * before.std(0), before, atol=1e-4)
