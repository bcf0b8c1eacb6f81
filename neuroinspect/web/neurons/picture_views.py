"""The pictures of a neuron as a page shows them: address, caption, and what a screen reader says."""

from dataclasses import dataclass

from neuroinspect.report.words import number
from neuroinspect.settings import Params
from neuroinspect.web.links import link, review_link
from neuroinspect.web.neurons.findings import Findings
from neuroinspect.web.neurons.picture_files import COLUMNS, Kind, PictureFile, drawn_file, mistake_file, real_file


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture; its address is "" where the file is missing or may not be shown."""

    src: str
    alt: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A real picture: what it is labelled, and what the model called it.

    Attributes:
        figure: how strongly the neuron fires on it, or how much it would have to change in it.
    """

    picture: Picture
    label: str
    prediction: str
    figure: str

    @property
    def is_right(self) -> bool:
        """Whether the model called it right."""
        return self.label == self.prediction


@dataclass(frozen=True, slots=True)
class NeuronPictures:
    """What there is to see of a neuron; a picture that was never drawn is None.

    Attributes:
        illusion: made for the neuron inside the class.
        mask: the same, dimmed where the neuron does not look.
        alone: made for the neuron alone.
        real: the real pictures it fires on most, the strongest first.
    """

    illusion: Picture | None
    mask: Picture | None
    alone: Picture | None
    real: tuple[Photo, ...]


def neuron_pictures(
    identifier: str, neuron: int, findings: Findings, *, class_name: str, most: int | None = None
) -> NeuronPictures:
    """The pictures of one neuron.

    Args:
        identifier: of the review.
        neuron: which.
        findings: the tables of its run.
        class_name: the class of the review.
        most: real pictures wanted; None: all.
    """
    base = review_link(identifier)

    def drawn(kind: Kind, alt: str) -> Picture | None:
        if not isinstance(findings.neurons.get(neuron, {}).get(COLUMNS[kind]), str):
            return None
        return _picture(f"{base}/pictures/{neuron}/{kind}.png", drawn_file(findings, neuron, kind), alt)

    photos = []
    for line in findings.real.get(neuron, ())[:most]:
        rank, label, called = int(line["rank"]), str(line["label"]), str(line["prediction"])
        fired = number(float(line["activation"]), digits=2)
        told = "called right" if label == called else f"called {called}"
        alt = f"Real photo of {label}, {told}, activation {fired}, bright where the neuron looks"
        file = real_file(findings, neuron, rank)
        photos.append(Photo(_picture(f"{base}/pictures/{neuron}/real/{rank}.png", file, alt), label, called, fired))
    return NeuronPictures(
        illusion=drawn("illusion", f"Picture synthesised for neuron {neuron} inside the class {class_name}"),
        mask=drawn("mask", f"The same picture, dimmed where neuron {neuron} does not look"),
        alone=drawn("fv", f"Picture synthesised for neuron {neuron} alone"),
        real=tuple(photos),
    )


def mistakes_of_neuron(identifier: str, neuron: int, findings: Findings, params: Params | None) -> tuple[Photo, ...]:
    """The mistakes that had the neuron in their top k, those in which it would have to change most first."""
    base, shown = review_link(identifier), []
    for place, shift in findings.voters.get(neuron, ()):
        mistake = findings.mistakes[place]
        row, label, called = int(mistake["row"]), str(mistake["label"]), str(mistake["prediction"])
        file = mistake_file(findings, params, row)
        picture = _picture(f"{base}/mistakes/{row}.jpg", file, f"Photo of {label} that was called {called}")
        shown.append(Photo(picture, label, called, ("+" if shift > 0 else "") + number(shift, digits=2)))
    return tuple(shown)


def _picture(path: str, file: PictureFile | None, alt: str) -> Picture:
    return Picture("" if file is None else link(path, {"v": file.stamp}), alt)
