"""What a run will cost: a few steps of each kind are timed here and scaled to the whole.

The figures are rough and lean to the high side where the run decides the amount of work (mistakes, early stopping).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from neuroinspect.classifier import Classifier
from neuroinspect.counterfactual import explain_mistakes
from neuroinspect.dataset import load_images, read_source
from neuroinspect.editing.edit import edit_decision_layer
from neuroinspect.errors import DataError
from neuroinspect.illusion import synthesize
from neuroinspect.ports import Progress, silent
from neuroinspect.settings import Params, TrainSettings
from neuroinspect.stages.models import classifier_of, guide_of
from neuroinspect.text_guide import TextGuide, image_directions, text_directions
from neuroinspect.wordlists import templates_of, words_of

Result = TypeVar("Result")
_SAMPLE = 32
_TIMED_STEPS = 3
_TIMED_PAIRS = 4
_TIMED_MISTAKES = 64
_TIMED_ROWS = 2048
_TIMED_WORDS = 4
# What the select split is made of, as the source names it.
_NAMED_SPLITS = {"select", "validation"}
_MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class StagePlan:
    """What one stage will cost.

    Attributes:
        stage: its name.
        seconds: on this machine.
        memory_mb: of this process, or of the GPU where the model is on one, as measured while the sample was computed.
        basis: what was timed, and how often it will be done.
    """

    stage: str
    seconds: float
    memory_mb: float
    basis: str


def plan_stages(params: Params, *, progress: Progress = silent) -> list[StagePlan]:
    """Time a few steps of the costly stages; evaluate and report take seconds and are left out.

    Raises:
        DataError: there are no pictures, or the first ones cannot be read.
        ModelError: the model or the text guide cannot be loaded or used.
        SettingsError: the vocabulary or the templates do not fit.
    """
    source = read_source(params.data)
    paths = [source.root / path for path in source.pictures["path"]]
    if not paths:
        raise DataError(f"there are no pictures in {source.root}; correct `data`")
    classifier = classifier_of(params)
    train = int((source.pictures["split"] == "train").sum())
    named = [path for path, split in zip(paths, source.pictures["split"], strict=True) if split in _NAMED_SPLITS]
    largest = int(source.pictures.loc[source.pictures["split"] != "train", "label"].value_counts().max())
    steps: list[Callable[[], list[StagePlan]]] = [
        lambda: _pictures(params, classifier, paths),
        lambda: [_diagnose(params, classifier, largest)],
        lambda: [_visualize(params, classifier, named)],
        lambda: [_edit(params, classifier, train)],
    ]
    plans = []
    for done, step in enumerate(steps):
        progress("time a few steps", done, len(steps))
        plans += step()
    progress("time a few steps", len(steps), len(steps))
    return plans


def _pictures(params: Params, classifier: Classifier, paths: list[Path]) -> list[StagePlan]:
    sample = paths[:: max(1, len(paths) // _SAMPLE)][:_SAMPLE]
    decoding, images = _timed(lambda: load_images(sample, classifier.preprocessing))
    size = min(params.extract.batch_size, len(paths))
    batch = classifier.normalize(images.repeat(-(-size // len(images)), 1, 1, 1)[:size].to(classifier.device))
    with torch.no_grad():
        classifier.features(batch[:1])  # the first pass also sets the backend up
        forward, _ = _timed(lambda: classifier.features(batch))
    decode_one, forward_one = decoding / len(sample), forward / size
    features_mb = len(paths) * classifier.num_features * 4 / _MEGABYTE
    checked = StagePlan(
        "validate", decode_one * len(paths), _memory(classifier), f"{decode_one * 1e3:.1f} ms to decode a picture"
    )
    extracted = StagePlan(
        "extract",
        (decode_one + forward_one) * len(paths),
        _memory(classifier) + features_mb,
        f"and {forward_one * 1e3:.1f} ms of backbone, {len(paths)} pictures",
    )
    return [checked, extracted]


def _diagnose(params: Params, classifier: Classifier, largest: int) -> StagePlan:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand((_TIMED_MISTAKES, classifier.num_features), generator=generator)
    targets = torch.randint(classifier.num_classes, (_TIMED_MISTAKES,), generator=generator)
    layer = _layer_on_cpu(classifier)
    seconds, _ = _timed(lambda: explain_mistakes(features, targets, layer, settings=params.diagnose.counterfactual))
    each = seconds / _TIMED_MISTAKES
    basis = f"{each * 1e3:.1f} ms a mistake, at most {largest} (the largest class)"
    return StagePlan("diagnose", each * largest, _memory(classifier), basis)


def _visualize(params: Params, classifier: Classifier, named: list[Path]) -> StagePlan:
    settings, guide = params.visualize.illusion, guide_of(params)
    neurons = [neuron % classifier.num_features for neuron in range(_TIMED_PAIRS)]
    pairs = [(neuron, neuron % classifier.num_classes) for neuron in neurons]

    def draw(steps: int) -> float:
        short = settings.model_copy(update={"steps": steps, "restarts": 0})
        generator = torch.Generator().manual_seed(params.seed)
        return _timed(lambda: synthesize(classifier, pairs, guide=guide, settings=short, generator=generator))[0]

    # What is done once for all steps falls out of the difference.
    first = draw(1)
    each = max(draw(1 + _TIMED_STEPS) - min(first, draw(1)), 0.0) / (_TIMED_STEPS * len(pairs))
    pictures = 2 * params.visualize.neurons * (2 if params.visualize.feature_visualization else 1)
    basis = f"{each * 1e3:.0f} ms a step, {settings.steps} steps, at most {pictures} pictures"
    memory = _memory(classifier) + settings.memory_cap_mb
    drawing, naming = each * settings.steps * pictures, 0.0
    if guide is not None and named:
        naming = _naming(params, classifier, guide, named)
        basis += f", and {naming:.0f} s to name neurons by {len(named)} pictures"
    return StagePlan("visualize", drawing + naming, memory, f"{basis}; memory up to memory_cap_mb")


def _naming(params: Params, classifier: Classifier, guide: TextGuide, named: list[Path]) -> float:
    """Seconds the guide needs for the pictures and words that neurons are named by."""
    sample, words = named[:_SAMPLE], words_of(params.guide, getattr(guide, "vocabulary", None))
    templates, few = templates_of(params.guide), words[:_TIMED_WORDS]
    text_directions(guide, few[:1], templates)  # the first pass also sets the backend up
    reading, _ = _timed(lambda: text_directions(guide, few, templates))
    images = load_images(sample, classifier.preprocessing)
    image_directions(guide, images[:1])
    looking, _ = _timed(lambda: image_directions(guide, load_images(sample, classifier.preprocessing)))
    return looking / len(sample) * len(named) + reading / len(few) * len(words)


def _edit(params: Params, classifier: Classifier, train: int) -> StagePlan:
    rows = min(max(train, 2), _TIMED_ROWS)
    generator = torch.Generator().manual_seed(0)
    features = torch.rand((rows, classifier.num_features), generator=generator)
    labels = torch.arange(rows) % classifier.num_classes
    short = params.edit.model_copy(update={"train": TrainSettings(epochs=1, batch_size=params.edit.train.batch_size)})

    def refit() -> object:
        return edit_decision_layer(
            features,
            labels,
            _layer_on_cpu(classifier),
            neurons={0: [0]},
            method="retrain",
            settings=short,
            validation=(features, labels),
        )

    seconds = _timed(refit)[0] * train / rows
    edits = 1 + len(params.edit.methods) * (1 + params.edit.placebo_draws)
    basis = f"{seconds:.2f} s an epoch of {len(params.edit.weight_decays)} tries, {params.edit.train.epochs} epochs"
    total = seconds * params.edit.train.epochs * edits
    return StagePlan("edit", total, _memory(classifier), f"{basis}, {edits} edits and controls")


def _layer_on_cpu(classifier: Classifier) -> torch.nn.Linear:
    own = classifier.decision_layer
    layer = torch.nn.Linear(own.in_features, own.out_features)
    layer.weight = torch.nn.Parameter(own.weight.detach().cpu().clone())
    layer.bias = torch.nn.Parameter(own.bias.detach().cpu().clone())
    return layer.requires_grad_(False)


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def _memory(classifier: Classifier) -> float:
    if classifier.device.type == "cuda":
        return torch.cuda.max_memory_allocated(classifier.device) / _MEGABYTE
    return float(psutil.Process().memory_info().rss) / _MEGABYTE
