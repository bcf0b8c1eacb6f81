"""How much faster are illusions of several neurons at once than the released loop, neuron by neuron?

`python -m benchmarks.illusion_speed` runs both on one thread in one process, with random weights where published ones would
have to be fetched (the time does not depend on them). The twin of the released loop makes one neuron at a time, computes
the gradients of all weights and encodes the class text in every step. Times are seconds for a picture and step, as the
difference between a long and a short run, so that what is done once does not count. Writes
benchmarks/results/illusion_speed.json in under two minutes.
"""

import copy
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.classifier import Classifier
from neuroinspect.demo.backbone import scene_net
from neuroinspect.demo.clip import SceneTokenizer, scene_clip
from neuroinspect.illusion import synthesize
from neuroinspect.illusion.parametrization import frequency_scale, images_from, spectrum_shape
from neuroinspect.illusion.transforms import apply_transforms, draw_transforms
from neuroinspect.settings import GuideSettings, IllusionSettings, PreprocessingSettings
from neuroinspect.text_guide import OpenClipGuide

RESULT = Path(__file__).parent / "results" / "illusion_speed.json"
TEMPLATES = GuideSettings().templates
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Case:
    """Networks to time, how many neurons are drawn, the steps of the short and the long run, and repeats."""

    name: str
    module: nn.Module
    preprocessing: PreprocessingSettings
    clip: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    neurons: int
    steps: tuple[int, int]
    repeats: int


def demo_case() -> Case:
    """The networks of the embedded scenario, 64 pixels."""
    tokenizer, module = SceneTokenizer(), scene_net()
    clip = scene_clip(tokenizer.vocabulary_size).eval()
    return Case("demo, 64 px", module, PreprocessingSettings(**module.preprocessing), clip, tokenizer, 8, (4, 24), 3)


def common_case() -> Case:
    """ResNet-18 and CLIP ViT-B/32, 224 pixels."""
    module = timm.create_model("resnet18", pretrained=False).eval()
    clip = open_clip.create_model("ViT-B-32").eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    return Case("ResNet-18 and ViT-B/32, 224 px", module, PreprocessingSettings(), clip, tokenizer, 4, (1, 3), 1)


def ours(case: Case, steps: int) -> None:
    """All neurons at once."""
    size = (case.preprocessing.image_size,) * 2
    classifier = Classifier(case.module, preprocessing=case.preprocessing, device="cpu")
    guide = OpenClipGuide(case.clip, case.tokenizer, image_size=size, device="cpu")
    settings = IllusionSettings(steps=steps, restarts=0)
    pairs = [(neuron, neuron % classifier.num_classes) for neuron in range(case.neurons)]
    synthesize(classifier, pairs, guide=guide, settings=settings, generator=torch.Generator().manual_seed(0))


def released(case: Case, steps: int) -> None:
    """One neuron after the other, as released."""
    module = copy.deepcopy(case.module).requires_grad_(True)
    clip = copy.deepcopy(case.clip).requires_grad_(True)
    classifier = Classifier(copy.deepcopy(case.module), preprocessing=case.preprocessing, device="cpu")
    settings, size = IllusionSettings(steps=steps), case.preprocessing.image_size
    scale = frequency_scale(size, decay_power=settings.decay_power)
    caught: list[Tensor] = []
    layer = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
    layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    for neuron in range(case.neurons):
        index = neuron % classifier.num_classes
        generator = torch.Generator().manual_seed(neuron)
        spectrum = (torch.randn((1, *spectrum_shape(size)), generator=generator) * 0.001).requires_grad_()
        draws = draw_transforms(settings, generator=generator)
        optimizer = torch.optim.AdamW([spectrum], lr=9e-3, betas=(0.5, 0.99), weight_decay=2e-4)
        for step in range(steps):
            image = apply_transforms(images_from(spectrum, scale), draws.affines[step], draws.colours[step])
            texts = case.tokenizer([template.format(classifier.class_names[index]) for template in TEMPLATES])
            direction = functional.normalize(clip.encode_text(texts), dim=1).mean(0, keepdim=True)
            cosine = functional.cosine_similarity(clip.encode_image(classifier.normalize(image)), direction)
            caught.clear()
            logits = module(classifier.normalize(image))
            loss = -(cosine + 0.05) * (caught[0][:, neuron] + 0.5 * logits[:, index])
            optimizer.zero_grad()
            loss.mean().backward()
            optimizer.step()


def seconds_each(run: Callable[[Case, int], None], case: Case) -> float:
    """Seconds for one picture and one step: best of a few."""
    short, long = case.steps
    best = []
    for steps in (short, long):
        times = []
        for _ in range(case.repeats):
            began = time.perf_counter()
            run(case, steps)
            times.append(time.perf_counter() - began)
        best.append(min(times))
    return (best[1] - best[0]) / (long - short) / case.neurons


def main() -> None:
    """Measure both cases and write the result."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for case in (demo_case(), common_case()):
        slow, fast = seconds_each(released, case), seconds_each(ours, case)
        rows.append(
            {
                "networks": case.name,
                "neurons": case.neurons,
                "released_seconds": slow,
                "ours_seconds": fast,
                "times_faster": slow / fast,
            }
        )
        log.info("%s: %.3f s released, %.3f s ours, %.1f times faster", case.name, slow, fast, slow / fast)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"torch": torch.__version__, "threads": 1, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
