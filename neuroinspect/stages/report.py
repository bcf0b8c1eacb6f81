"""Write the page a person reads at the end of a run."""

from pathlib import Path
from typing import Any

from neuroinspect.artifacts import RunFolder, StageResult, content_hash, run_stage, write_bytes
from neuroinspect.dataset.sources import data_root
from neuroinspect.ports import Progress, silent
from neuroinspect.report import read_material, render_page, settings_without_folders
from neuroinspect.settings import Params

STAGE_VERSION = 2


def report(run: RunFolder, params: Params, *, progress: Progress = silent) -> StageResult:
    """Write report/report.html and report/plots/*.svg.

    Args:
        run: with the evaluate stage finished.
        params: the settings of the run.
        progress: told when the page is read together and when it is written.

    Raises:
        StageOrderError: extract, edit or evaluate is missing.
        ArtifactError: a file of the run folder is damaged.
        RunFolderError: the folder cannot be written.
    """
    material = read_material(run, params, data_root=data_root(params.data))
    inputs: dict[str, Any] = {
        "stages": dict(material.hashes),
        "decision": None if material.decision is None else content_hash(material.decision),
        "suggestions": None if material.suggestions is None else content_hash(material.suggestions),
        "checks": {stage: content_hash(record) for stage, record in material.checks.items()},
        "provenance": [material.fingerprint, material.data_version, dict(material.versions)],
        "settings": settings_without_folders(params),
    }

    def compute(folder: Path) -> dict[str, Any]:
        progress("report", 0, 1)
        page = render_page(material)
        write_bytes(folder / "report.html", page.html.encode())
        for name, svg in page.plots.items():
            write_bytes(folder / "plots" / name, svg.encode())
        progress("report", 1, 1)
        return {
            "status": material.metrics["verdict"]["status"],
            "class": material.class_name,
            "page": "report.html",
            "plots": sorted(page.plots),
        }

    return run_stage(run, "report", version=STAGE_VERSION, inputs=inputs, compute=compute)
