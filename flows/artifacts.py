"""What a person sees of a run in Prefect's page: the ranking, what to do at the review, the verdict, and where the pages are.

Names of classes and folders come from the user's data, so they are escaped. An artifact that cannot be kept never fails a run.
"""

import html
import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.surroundings import surroundings
from neuroinspect.artifacts import RunFolder, read_json, read_table
from neuroinspect.nightly import Night
from neuroinspect.stages.review import read_request

_RANKING = ("rank", "neuron", "direction", "vote_share", "weight", "probability_ratio", "activation_gap")
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~])")
_DATA_DOCS = Path("checks") / "data_docs" / "index.html"
log = logging.getLogger(__name__)


@contextmanager
def carry_on(what: str) -> Iterator[None]:
    """Log what fails within, and go on."""
    try:
        yield
    except Exception:  # whatever Prefect's client, its server or a half-written table can raise: the run matters more
        log.warning("Prefect could not be shown the %s of this run; the run goes on", what, exc_info=True)


def as_text(text: str) -> str:
    """Text that markdown shows as it is, on one line."""
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def show_ranking(run: RunFolder) -> None:
    """The diagnosed neurons as a table."""
    with carry_on("ranking"):
        table = read_table(run.require("diagnose") / "neurons.parquet")
        rows = [{name: _rounded(row[name]) for name in _RANKING} for row in table.to_dict("records")]
        finding = read_json(run.stage("diagnose") / "stage.json")["summary"]
        description = f"Neurons the mistakes of {as_text(finding['class'])} vote for, run {as_text(run.root.name)}"
        create_table_artifact(rows, key="ranking", description=description)


def show_question(run: RunFolder) -> None:
    """What the reviewer is asked, the page where it is answered, and the commands that answer as well."""
    with carry_on("question"):
        machinery, request, folder = surroundings().machinery, read_request(run), shlex.quote(str(run.root))
        page = machinery.page_of(request.id)
        shown = ", ".join(str(candidate.neuron) for candidate in request.candidates[:10])
        served = "" if machinery.page_url is not None else ", while `neuroinspect review serve` runs"
        lines = [
            f"## Which neurons carry what the model should not rely on in {as_text(request.class_name)}?",
            f"{len(request.candidates)} candidates, most voted first: {shown}",
            f"Look at them and decide on the page: [{as_text(page)}](<{page}>){served}",
            "Or look at them, decide, and go on from a terminal:",
            _block(
                f"neuroinspect review show --out {folder}",
                f"neuroinspect review decide --out {folder} --neurons 3,17 --note WHY   # or --reject --note WHY",
                f"neuroinspect run --out {folder}",
            ),
            f"Review `{request.id[:12]}`; the pictures are in the folder `visualize` of the run.",
        ]
        create_markdown_artifact("\n\n".join(lines), key="review", description=as_text(run.root.name))
        create_link_artifact(page, "review page", key="review-page")


def show_outcome(run: RunFolder) -> None:
    """The verdict, each class before and after, and links to the report and to Data Docs."""
    with carry_on("verdict"):
        metrics = read_json(run.require("evaluate") / "metrics.json")
        create_markdown_artifact(_outcome(metrics), key="verdict", description=as_text(run.root.name))
    with carry_on("report"):
        create_link_artifact((run.require("report") / "report.html").as_uri(), "report", key="report")
        if (run.root / _DATA_DOCS).exists():
            create_link_artifact((run.root / _DATA_DOCS).as_uri(), "Data Docs", key="data-docs")


def show_night(night: Night) -> None:
    """What a night found in each class, and the page of each review it opened."""
    with carry_on("night"):
        page_of = surroundings().machinery.page_of
        lines = [f"## {as_text(night.date)}, {as_text(night.model)}", "| class | | |\n|---|---|---|"]
        for one in night.classes:
            link = "" if one.review is None else f"[review](<{page_of(one.review)}>)"
            lines[-1] += f"\n| {as_text(one.name)} | {as_text(one.sentence)} | {link} |"
        create_markdown_artifact("\n\n".join(lines), key="night", description=as_text(night.date))


def show_tracked(url: str | None, identifier: str) -> None:
    """Where the run is in MLflow; nothing where it is a local database, which has no page."""
    if url is not None and url.startswith(("http://", "https://")):
        with carry_on("MLflow run"):
            create_link_artifact(f"{url.rstrip('/')}/#/runs/{identifier}", "MLflow run", key="mlflow-run")


def _outcome(metrics: dict[str, Any]) -> str:
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    recommended = metrics["recommended"]
    before, after = rows["original"], rows[recommended]
    lines = ["| class | pictures | original | recommended |", "|---|---:|---:|---:|"]
    for name, figure in before["per_class"].items():
        edited = after["per_class"][name]["value"]
        lines.append(f"| {as_text(name)} | {figure['count']} | {_percent(figure['value'])} | {_percent(edited)} |")
    average = (before["average"]["value"], after["average"]["value"])
    lines.append(f"| **average** | | {_percent(average[0])} | {_percent(average[1])} |")
    details = [f"- {as_text(detail)}" for detail in metrics["verdict"]["details"]]
    parts = [
        f"## {as_text(metrics['verdict']['sentence'])}",
        "\n".join(details),
        f"Recommended layer: {as_text(after['title'])}. Accuracy on the judge split:",
        "\n".join(lines),
    ]
    return "\n\n".join(part for part in parts if part)


def _block(*commands: str) -> str:
    fence = "`" * (3 + max((len(run) for run in re.findall("`+", "".join(commands))), default=0))
    return "\n".join((fence, *commands, fence))


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
