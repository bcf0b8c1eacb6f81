"""One self-contained page from the material of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from neuroinspect.report import words
from neuroinspect.report.checks import PAGE, stage_checks
from neuroinspect.report.environment import environment
from neuroinspect.report.material import Material
from neuroinspect.report.mistakes import mistakes_of
from neuroinspect.report.neurons import neuron_cards, ranking
from neuroinspect.report.provenance import settings_text, spec_without_folder
from neuroinspect.report.retest import retest_views
from neuroinspect.report.sections import missing_edits, mistakes_view, overview, split_views, tries

STATUS_LABELS: Final[Mapping[str, str]] = {
    "found_and_helped": "Found, and the edit helped",
    "found_no_gain": "Found, but the edit did not surely help",
    "nothing_found": "Nothing found",
    "nothing_to_explain": "Nothing to explain",
}


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and its plots as files: name -> SVG text."""

    html: str
    plots: Mapping[str, str]


def render_page(material: Material) -> Page:
    """Render the report; the same material gives the same bytes."""
    plots: dict[str, str] = {}
    mistakes = mistakes_of(material)
    cards = neuron_cards(material)
    template = environment().get_template("report.html.j2")
    html = template.render(
        title=material.params.report.title,
        class_name=material.class_name,
        verdict=_verdict(material),
        confidence=words.percent(material.params.evaluate.confidence, digits=0),
        splits=split_views(material, plots),
        overview=overview(material),
        mistakes=mistakes,
        mistakes_plot=None if mistakes is None else mistakes_view(mistakes, plots),
        groups=[(direction, found) for direction, found in cards.items() if found],
        ranking=ranking(material),
        named=not material.names.empty,
        choice=choice_in_words(material),
        suggested=suggested_in_words(material),
        retests=retest_views(material),
        methods=_methods(material),
        missing_edits=missing_edits(material),
        tries=tries(material),
        checks=stage_checks(material.checks),
        checks_page=PAGE,
        facts=_facts(material),
        settings=settings_text(material.params),
        versions=material.versions,
        hashes=material.hashes,
        words=words,
    )
    return Page(html, plots)


def choice_in_words(material: Material) -> str:
    """Who or what chose the neurons, and which."""
    decision = material.decision
    if decision is None:
        return ""
    by, rule, note = str(decision.get("by", "")), decision.get("rule"), str(decision.get("note") or "")
    if decision.get("verdict") != "approved":
        who = "A rule" if rule else by
        text = f"{who} rejected the finding, so no neuron was edited"
    else:
        listed = ", ".join(map(str, sorted(material.chosen)))
        neurons, verb = ("Neuron", "was") if len(material.chosen) == 1 else ("Neurons", "were")
        text = f"{neurons} {listed} {verb} chosen by {'a rule, not by a person' if rule else by}"
    text += (f" ({rule})" if rule else "") + "." + _strength_in_words(material)
    return text + (f" Note: “{note}”" if note else "")


def _strength_in_words(material: Material) -> str:
    """How far every edit and control went from the original; "" where they went all the way, or there is none."""
    strength = material.edit.get("strength", 1.0)
    if strength == 1.0:
        return ""
    return f" Strength {strength:g}: every edit and control goes that part of the way from the original decision layer."


def suggested_in_words(material: Material) -> str:
    """That sets of candidates were tried, and what the chosen neurons gave there; "" where they were not."""
    found = material.suggestions
    if found is None or not found["sets"]:
        return ""
    sets, first = found["sets"], found["sets"][0]
    tried = "1 set of candidates was" if len(sets) == 1 else f"{len(sets)} sets of candidates were"
    text = f"{tried} tried on the select split to help the choice, which is the reviewer's."
    if not material.chosen:
        return text
    same = next((rank for rank, one in enumerate(sets, 1) if set(one["neurons"]) == material.chosen), None)
    if same is not None:
        return f"{text} The chosen set came out {same} of {len(sets)}."
    return f"{text} First came {', '.join(map(str, first['neurons']))}; the chosen set was not among them."


def _verdict(material: Material) -> dict[str, Any]:
    verdict = material.metrics["verdict"]
    status = str(verdict["status"])
    return {
        "status": status,
        "label": STATUS_LABELS.get(status, status),
        "sentence": verdict["sentence"],
        "details": list(verdict.get("details", [])),
        "warnings": [*material.warnings, *_left_out(material.quarantined)],
        "unverified": bool(material.decision and material.decision.get("unverified")),
    }


def _left_out(quarantined: int) -> list[str]:
    if not quarantined:
        return []
    files = "1 file was" if quarantined == 1 else f"{quarantined:,} files were"
    return [f"{files} left out because they could not be used; validate/quarantine.csv says why."]


def _methods(material: Material) -> list[tuple[str, str]]:
    """Name and meaning of each method that was tried, controls included."""
    tried = material.edit.get("methods", {})
    known = [
        (words.method_title(name, tried[name].get("title")), meaning)
        for name, meaning in words.METHOD_MEANINGS.items()
        if name in tried
    ]
    draws = max((sum(name.startswith(f"placebo.{edit}.") for name in tried) for edit in tried), default=0)
    if draws:
        times = f"{draws} time{'' if draws == 1 else 's'}"
        known.append(
            ("Placebo", f"Control: the same edit on as many neurons drawn at random, {times}; smallest to largest.")
        )
    return known


def _facts(material: Material) -> list[tuple[str, str]]:
    """Model, guide, data, seed and strength."""
    params, guide = material.params, material.params.guide.spec
    facts = [
        ("Classifier", params.model.spec),
        ("Model fingerprint (SHA-256)", material.fingerprint),
        (
            "Text guide",
            "none: the illusions follow the classifier alone" if guide is None else spec_without_folder(guide),
        ),
        ("Data version", material.data_version),
        ("Seed", str(params.seed)),
        ("Strength of the edit", f"{material.edit.get('strength', 1.0):g}" if material.chosen else None),
    ]
    return [(name, value) for name, value in facts if value is not None]
