"""Text guides: what pulls an illusion towards the look of a class.

Any object with `encode_images`, `encode_texts` and `fingerprint` is a guide; OpenClipGuide wraps a model of open_clip.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuroinspect.errors import ModelError, ModelSpecError, NeuroInspectError, SettingsError, WeightsError
from neuroinspect.lean_network import lean_copy
from neuroinspect.model_spec import load_weights, pick_device
from neuroinspect.settings import GuideSettings
from neuroinspect.wordlists import templates_of

Normalisation = tuple[tuple[float, ...], tuple[float, ...]]
_OPENAI: Normalisation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_NOT_FINITE = "the text guide's encode_images gives embeddings that are NaN or infinite; correct it"


@runtime_checkable
class TextGuide(Protocol):
    """Pictures and texts in one space.

    A guide that knows few words says which in an attribute `vocabulary`: neurons are then named with these.
    """

    @property
    def fingerprint(self) -> str:
        """Names the guide and its weights; part of the hash of every illusion."""
        ...

    def encode_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of images (N, 3, H, W) in [0, 1]; differentiable, any scale."""
        ...

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Embeddings (T, D), any scale."""
        ...


@dataclass(frozen=True, slots=True)
class GuidedTexts:
    """A guide with the text of each class, in the order of the logits."""

    guide: TextGuide
    texts: tuple[str, ...]
    templates: tuple[str, ...] = GuideSettings().templates


def bind_texts(guide: TextGuide, class_names: Sequence[str], settings: GuideSettings) -> GuidedTexts:
    """Give each class its text: the one in the settings, else its name with spaces for underscores.

    Raises:
        SettingsError: `class_texts` names a class that is not there, or the templates do not fit.
    """
    unknown = sorted(set(settings.class_texts) - set(class_names))
    if unknown:
        raise SettingsError(f"guide.class_texts names {', '.join(unknown)}; the classes are {', '.join(class_names)}")
    texts = tuple(settings.class_texts.get(name, name.replace("_", " ")) for name in class_names)
    return GuidedTexts(guide, texts, templates_of(settings))


def class_direction(guide: TextGuide, class_text: str, templates: Sequence[str]) -> Tensor:
    """Direction of a class in the guide's space: normalised mean of normalised embeddings over the templates.

    The released code leaves the mean unnormalised; a cosine does not see the difference.

    Args:
        guide: the text guide.
        class_text: what to call the class.
        templates: texts with `{}` where the class goes.

    Returns:
        (D,), of length 1, without gradient.

    Raises:
        SettingsError: no template, or one without `{}`.
        ModelError: the guide fails, or gives something else than finite (T, D).
    """
    wrong = [template for template in templates if "{}" not in template]
    if wrong or not templates:
        raise SettingsError(f"guide.templates: expected texts with {{}} in them, got {wrong or 'none'}")
    with torch.no_grad():
        texts = [template.replace("{}", class_text) for template in templates]
        embeddings = _embeddings(guide, "encode_texts", texts, rows=len(texts))
        if not embeddings.isfinite().all():
            raise ModelError(f"the text guide gives embeddings of {class_text!r} that are NaN or infinite; correct it")
        return functional.normalize(functional.normalize(embeddings, dim=1).mean(0), dim=0)


def similarity_to(guide: TextGuide, images: Tensor, directions: Tensor) -> Tensor:
    """Cosine of each image's embedding and its direction; differentiable.

    Args:
        guide: the text guide.
        images: (N, 3, H, W) in [0, 1].
        directions: (N, D), from `class_direction`.

    Returns:
        (N,), on the device of the directions.

    Raises:
        ModelError: the guide fails, or gives something else than (N, D) with a gradient.
    """
    embeddings = _embeddings(guide, "encode_images", images, rows=len(images), width=directions.shape[1])
    if images.requires_grad and not embeddings.requires_grad:
        raise ModelError(
            "the text guide's encode_images gives no gradient, so it cannot steer; leave out no_grad, detach"
        )
    # Without a gradient it is a single look, such as the one before the first step; asking at every step slows a GPU.
    if not images.requires_grad and not embeddings.isfinite().all():
        raise ModelError(_NOT_FINITE)
    return functional.cosine_similarity(embeddings.to(directions.device), directions, dim=1)


def text_directions(guide: TextGuide, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
    """`class_direction` of several texts.

    Returns:
        (T, D), each of length 1, without gradient, on the CPU.

    Raises:
        SettingsError: no template, or one without `{}`.
        ModelError: the guide fails, or gives something else than finite (T, D).
    """
    return torch.stack([class_direction(guide, text, templates).cpu() for text in texts])


def image_directions(guide: TextGuide, images: Tensor) -> Tensor:
    """Where pictures lie in the guide's space.

    Args:
        guide: the text guide.
        images: (N, 3, H, W) in [0, 1].

    Returns:
        (N, D), each of length 1, without gradient, on the CPU.

    Raises:
        ModelError: the guide fails, or gives something else than finite (N, D).
    """
    with torch.no_grad():
        embeddings = _embeddings(guide, "encode_images", images, rows=len(images))
        if not embeddings.isfinite().all():
            raise ModelError(_NOT_FINITE)
        return functional.normalize(embeddings.float(), dim=1).cpu()


def _embeddings(
    guide: TextGuide, method: str, given: Tensor | list[str], *, rows: int, width: int | None = None
) -> Tensor:
    try:
        embeddings = getattr(guide, method)(given)
    except (NeuroInspectError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the guide is the user's: it may raise anything
        raise ModelError(f"the text guide's {method} failed: {type(error).__name__}: {error}") from error
    shape = tuple(embeddings.shape) if isinstance(embeddings, Tensor) else type(embeddings).__name__
    if not isinstance(embeddings, Tensor) or embeddings.dim() != 2 or embeddings.shape != (rows, width or shape[-1]):
        expected = f"({rows}, {width if width is not None else 'D'})"
        raise ModelError(f"the text guide's {method} gave {shape}, expected embeddings of shape {expected}; correct it")
    return embeddings


class OpenClipGuide:
    """A frozen model of open_clip; it resizes and normalises the images itself."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        *,
        image_size: tuple[int, int],
        normalisation: Normalisation = _OPENAI,
        name: str = "open_clip",
        device: torch.device | str | None = None,
    ) -> None:
        self.device = pick_device(device)
        self._model = model.to(self.device).eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._image_size = image_size
        self._normalisation = normalisation
        self._mean, self._std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in normalisation)
        self._name = name

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of name, weights, image size and normalisation."""
        digest = hashlib.sha256(repr((self._name, self._image_size, self._normalisation)).encode())
        for name, tensor in sorted(self._model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def encode_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, D) of images (N, 3, H, W) in [0, 1], of any size and shape; differentiable."""
        images = images.to(self.device)
        if tuple(images.shape[2:]) != self._image_size:
            images = functional.interpolate(
                images, size=self._image_size, mode="bicubic", align_corners=False, antialias=True
            )
        embeddings: Tensor = self._encode_image((images - self._mean) / self._std)
        return embeddings

    @cached_property
    def _encode_image(self) -> Callable[[Tensor], Tensor]:
        """A lean copy of the image tower where it is all of `encode_image`; it shares the weights."""
        whole: Callable[[Tensor], Tensor] = self._model.encode_image  # type: ignore[assignment]
        tower = getattr(self._model, "visual", None)
        if not isinstance(tower, nn.Module):
            return whole
        probe = torch.rand((2, 3, *self._image_size), generator=torch.Generator().manual_seed(0)).to(self.device)
        lean = lean_copy(tower, probe)
        with torch.no_grad():
            same = lean is not None and torch.allclose(lean(probe), whole(probe), rtol=1e-3, atol=1e-4)
        return lean if lean is not None and same else whole

    def encode_texts(self, texts: list[str]) -> Tensor:
        """Embeddings (T, D)."""
        with torch.no_grad():
            embeddings: Tensor = self._model.encode_text(self._tokenizer(texts).to(self.device))  # type: ignore[operator]
        return embeddings


def open_clip_guide(name: str, *, device: str | None) -> TextGuide:
    """A guide from open_clip.

    Args:
        name: "NAME/TAG" with a published tag (downloaded once into open_clip's cache), or "NAME/FILE" with a local
            safetensors file or state dict, which needs no network.
        device: None takes a GPU where there is one.

    Raises:
        ModelSpecError: no such model or tag, or the weights of the tag cannot be fetched.
        WeightsError: the file is missing, pickled, or does not fit.
    """
    import open_clip

    architecture, _, weights = name.partition("/")
    if architecture not in open_clip.list_models():
        raise ModelSpecError(f"open_clip has no model {architecture!r}; expected NAME/TAG or NAME/FILE, got {name!r}")
    if not weights:
        raise ModelSpecError(f"guide {name!r} has no weights; give {architecture}/TAG or {architecture}/FILE")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if weights in tags:
        try:
            model = open_clip.create_model(architecture, pretrained=weights, device="cpu")
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelSpecError(
                f"cannot fetch {name!r} ({error}); without network give a local file: open_clip:{architecture}/FILE"
            ) from error
        normalisation = (tuple(model.visual.image_mean), tuple(model.visual.image_std))
    else:
        if not Path(weights).is_file():
            known = f"its tags are {', '.join(tags)}" if tags else "it has no published tags"
            raise WeightsError(f"{weights!r} is neither a file nor a tag of {architecture}; {known}")
        model = open_clip.create_model(architecture, pretrained=None, device="cpu")
        load_weights(model, Path(weights))
        normalisation = _published_normalisation(architecture, tags)
    size = model.visual.image_size
    height, width = (size, size) if isinstance(size, int) else size
    return OpenClipGuide(
        model,
        open_clip.get_tokenizer(architecture),
        image_size=(height, width),
        normalisation=normalisation,
        name=architecture,
        device=device,
    )


def _published_normalisation(architecture: str, tags: list[str]) -> Normalisation:
    """That of the published tags where they agree (a local file does not carry it), else OpenAI's."""
    import open_clip

    published = {
        (tuple(config.get("mean") or _OPENAI[0]), tuple(config.get("std") or _OPENAI[1]))
        for config in (open_clip.get_pretrained_cfg(architecture, tag) for tag in tags)
    }
    return published.pop() if len(published) == 1 else _OPENAI
