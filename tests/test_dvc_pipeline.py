"""dvc.yaml: the same stages as everywhere, complete dependencies, nothing computed twice, and the figures of a plain run."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from typer.testing import CliRunner

from neuroinspect.artifacts import STAGES, RunFolder
from neuroinspect.chain import run_chain
from neuroinspect.cli import app
from neuroinspect.demo.data import draw_demo_data
from neuroinspect.demo.scenario import DEFAULT_PLANT
from neuroinspect.settings import Params, VisualizeSettings, load_params, parse_params
from tests.dvc_repository import dvc, make_repository
from tests.quick_commands import quick_commands
from tests.tiny import QUICK, make_project

ROOT = Path(__file__).resolve().parents[1]
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
# No figure depends on these: errors, protocols, the settings (their values are params) and the files of a run folder.
PLUMBING = {f"neuroinspect{name}" for name in ("", ".errors", ".ports", ".settings", ".artifacts", ".machinery")}
# What params.yaml names, and the command that reads a decision from a file: no stage imports them.
NAMED = {
    "extract": {"neuroinspect.demo.backbone"},
    "visualize": {"neuroinspect.demo.clip", "neuroinspect.demo.drawing"},
    "review": {"neuroinspect.cli.decision_file"},
}


def stages_run(output: str) -> list[str]:
    """Stages that `dvc repro` ran."""
    return re.findall(r"Running stage '(\w+)'", output)


def dependencies(stage: str) -> list[str]:
    return list(PIPELINE["stages"][stage]["deps"])


def modules_below(dependency: str) -> set[str]:
    """Names of the modules a dependency holds."""
    path = ROOT / dependency
    files = path.rglob("*.py") if path.is_dir() else [path]
    names = (file.relative_to(ROOT).with_suffix("").parts for file in files if file.suffix == ".py")
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in names}


def test_one_word_names_a_stage_everywhere():
    assert tuple(PIPELINE["stages"]) == STAGES
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert set(STAGES) <= commands
    assert [name for name in PARAMS if name in STAGES] == list(STAGES)
    fields = [field.alias or name for name, field in Params.model_fields.items()]
    assert [name for name in fields if name in STAGES] == list(STAGES)
    for stage in STAGES:
        record = PIPELINE["stages"][stage]
        assert record["cmd"].split()[:2] == ["neuroinspect", stage]
        assert f"neuroinspect/stages/{stage}.py" in record["deps"]
        assert record["outs"] == [f"runs/dvc/{stage}"]


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("neuroinspect", cache_dir=None)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_it_computes_with_and_no_other(imports: grimp.ImportGraph, stage: str):
    own = f"neuroinspect.stages.{stage}"
    used = ({own} | imports.find_upstream_modules(own) | NAMED.get(stage, set())) - PLUMBING
    used = {name for name in used if not name.startswith("neuroinspect.settings.")}
    declared = [name for name in dependencies(stage) if name.startswith("neuroinspect/")]
    assert sorted(used - set().union(*map(modules_below, declared))) == []
    assert [name for name in declared if name.endswith(".py") and not modules_below(name) <= used] == []
    assert [name for name in declared if (ROOT / name).is_dir() and not modules_below(name) & used] == []
    assert [name for name in declared if not (ROOT / name).exists()] == []


def test_params_give_every_setting_of_every_stage_its_value():
    params = parse_params(PARAMS)
    whole = params.model_dump(mode="json", by_alias=True)
    for section in ("guide", "checks", *STAGES):
        assert {**PARAMS[section]} == {key: value for key, value in whole[section].items() if key in PARAMS[section]}
        assert set(whole[section]) - set(PARAMS[section]) <= ({"spec"} if section == "guide" else set())


def test_params_debug_what_the_demo_debugs():
    params = load_params(ROOT / "params.yaml")
    assert params.seed == DEFAULT_PLANT.seed
    assert params.guide.spec == "neuroinspect.demo.clip:guide"
    defaults = Params(model=params.model, data=params.data, visualize=VisualizeSettings(neurons=6))
    for name in ("checks", *(f"{stage}_" if stage == "validate" else stage for stage in STAGES)):
        assert getattr(params, name) == getattr(defaults, name)


def test_every_param_of_a_stage_stands_in_params():
    for stage, record in PIPELINE["stages"].items():
        for key in record["params"]:
            value: Any = PARAMS
            for part in key.split("."):
                assert part in value, f"{stage}: {key}"
                value = value[part]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of this repository, as it was committed last."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git repository")
    folder = tmp_path_factory.mktemp("clone")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "clone")], check=True)
    return folder / "clone"


def test_the_lock_fits_the_code_and_the_params_that_were_committed_with_it(clone: Path):
    shown = dvc(clone, "repro", "--allow-missing", "--dry", state=clone.parent)
    assert stages_run(shown) == [], "dvc.lock is older than the code: run `make reproduce`, and commit dvc.lock"
    assert "Stage 'report' didn't change" in shown


def test_the_pictures_that_are_drawn_are_the_ones_the_repository_keeps(clone: Path):
    assert "deleted" in dvc(clone, "status", "data.dvc", state=clone.parent)
    assert draw_demo_data(clone / "data").drawn
    assert "up to date" in dvc(clone, "status", "data.dvc", state=clone.parent)
    assert not draw_demo_data(clone / "data").drawn


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small project under this dvc.yaml, reproduced once; beside it a plain run with the same decision."""
    folder = tmp_path_factory.mktemp("reproduced")
    with quick_commands(folder / "bin"):
        _reproduce(folder)
        yield folder


def _reproduce(folder: Path) -> None:
    root = make_repository(folder / "project", state=folder)
    make_project(root / "data")
    (root / "data" / "classifier.safetensors").rename(root / "classifier.safetensors")
    model = yaml.safe_load((root / "data" / "params.yaml").read_text())["model"]
    (root / "data" / "params.yaml").unlink()
    params = {**PARAMS, "model": model, "guide": {**PARAMS["guide"], "spec": None}, "device": "cpu", "runs": "plain"}
    for section, quick in QUICK.items():
        params[section] = _merged(PARAMS[section], quick)
    (root / "params.yaml").write_text(yaml.safe_dump(params))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots")
    shutil.copytree(ROOT / "neuroinspect", root / "neuroinspect", ignore=shutil.ignore_patterns("__pycache__"))
    dvc(root, "add", "-q", "data", state=folder)

    run = RunFolder(folder / "plain")
    run_chain(run, load_params(root / "params.yaml"), auto_review=True)
    decision = json.loads((run.stage("review") / "decision.json").read_text())
    ((name, neurons),) = decision["neurons"].items()
    (root / "reviews").mkdir()
    (root / "reviews" / "default.json").write_text(json.dumps({"class": name, "neurons": neurons, "by": "a test"}))

    shown = dvc(root, "repro", state=folder)
    assert stages_run(shown) == list(STAGES)


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    inner = {key: _merged(values[key], value) for key, value in changes.items() if isinstance(value, dict)}
    return {**values, **changes, **inner}


def test_a_second_time_nothing_is_computed(reproduced: Path):
    shown = dvc(reproduced / "project", "repro", state=reproduced)
    assert stages_run(shown) == []
    assert "up to date" in shown


def test_dvc_and_a_plain_run_give_the_same_metrics(reproduced: Path):
    own, plain = (
        folder / "evaluate" / "metrics.json" for folder in (reproduced / "project/runs/dvc", reproduced / "plain")
    )
    assert own.read_bytes() == plain.read_bytes()


def test_the_run_carries_the_version_of_its_data(reproduced: Path):
    kept = yaml.safe_load((reproduced / "project" / "data.dvc").read_text())["outs"][0]["md5"]
    run = json.loads((reproduced / "project" / "runs" / "dvc" / "run.json").read_text())
    assert run["data_version"] == f"dvc:{kept}"


def test_git_sees_nothing_of_the_run_and_of_the_data(reproduced: Path):
    call = ["git", "status", "--porcelain", "--untracked-files=all"]
    shown = subprocess.run(call, cwd=reproduced / "project", capture_output=True, text=True, check=True).stdout
    new = [line[3:] for line in shown.splitlines()]
    assert "dvc.lock" in new
    assert [name for name in new if name.startswith(("runs/", "data/", ".dvc/tmp", ".dvc/cache"))] == []


def test_metrics_and_plots_show_the_worst_class_and_the_aurocs(reproduced: Path, tmp_path: Path):
    root = reproduced / "project"
    metrics = json.loads((root / "runs/dvc/evaluate/metrics.json").read_text())
    rows = {row["name"]: row for row in metrics["splits"]["judge"]["rows"]}
    shown = json.loads(dvc(root, "metrics", "show", "--json", state=reproduced))
    (summary,) = [file["data"] for file in shown[""]["data"].values()]
    assert summary["worst_class_accuracy_before"] == rows["original"]["worst_class"]["value"]
    assert summary["class_auroc_after"] == rows[metrics["recommended"]]["class_auroc"]["value"]
    dvc(root, "plots", "show", "-o", tmp_path / "plots", state=reproduced)
    page = (tmp_path / "plots" / "index.html").read_text()
    for plot in ("worst_class_accuracy", "class_auroc", "cross_cue_auroc", "before_and_after"):
        assert f'id = "{plot}"' in page
    assert f'"class_auroc": "{rows["cue_erasure"]["class_auroc"]["value"]}"' in page


def test_a_changed_setting_computes_only_what_depends_on_it(reproduced: Path, tmp_path: Path):
    shutil.copytree(reproduced / "project", tmp_path / "project")
    params = yaml.safe_load((tmp_path / "project" / "params.yaml").read_text())
    params["edit"]["average_tolerance"] = 0.02
    (tmp_path / "project" / "params.yaml").write_text(yaml.safe_dump(params))
    assert stages_run(dvc(tmp_path / "project", "repro", state=reproduced)) == ["edit", "evaluate", "report"]
    run = json.loads((tmp_path / "project" / "runs" / "dvc" / "run.json").read_text())
    assert run["settings"]["edit"]["average_tolerance"] == 0.02


def test_missing_data_is_named_with_the_way_out(clone: Path, tmp_path: Path):
    shutil.copytree(clone, tmp_path / "clone", ignore=shutil.ignore_patterns("data"))
    words = ["validate", "--params", str(tmp_path / "clone" / "params.yaml"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "neuroinspect demo-data" in result.output
