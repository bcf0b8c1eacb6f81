"""The flow of every night: debug the worst classes of the model in service, and ask only where there is something new."""

import logging
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed

from flows import artifacts, tasks
from flows.debug import draw, extract
from flows.lateness import is_superseded
from flows.messages import kept_messages
from flows.outages import is_outage, through_outages
from flows.runner import shard_runner
from flows.surroundings import surroundings
from flows.tasks import do, step
from flows.threads import torch_threads
from neuroinspect import chain
from neuroinspect import nightly as nights
from neuroinspect.artifacts import RunFolder
from neuroinspect.assembly import all_tools, model_line, needed_review_store, night_history
from neuroinspect.errors import ModelSpecError, NightlyError, SettingsError
from neuroinspect.nightly import ClassNight, News, Night
from neuroinspect.settings import Params
from neuroinspect.stages.models import classifier_of
from neuroinspect.stages.review import read_request

_PATIENCE = 60.0  # seconds; an edit of a run folder may be on its way while the night looks at it
log = logging.getLogger(__name__)


def _name() -> str:
    """Such as `nightly fish_net@champion`."""
    given = flow_run.parameters["params"]
    params = given if isinstance(given, Params) else Params.model_validate(given)
    return f"{flow_run.flow_name} {nights.nightly_params(params).model.spec.rpartition(':')[2].lstrip('/')}"


@flow(name="nightly", flow_run_name=_name, persist_result=False)
def nightly(params: Params, runs: str, night: str | None = None) -> Night | State[None]:
    """Look for what is new in the worst classes of a model, open a review for each that has it, and keep the figures.

    Args:
        params: settings of all stages; `nightly` says which model, how many classes, and what is worth a question.
        runs: folder of the run folders, an absolute path on the machine that does the work.
        night: its date, YYYY-MM-DD; none: the day (UTC) for which this flow run was planned, also when it is tried again later.

    Returns:
        What it found; a state that says so where a later night of the schedule is due too, and this one does nothing.

    Raises:
        NightlyError: a class could not be debugged; the others are, and what they gave is kept.
        NeuroInspectError: anything all classes need could not be done.
    """
    planned = _planned(night)
    if night is None and through_outages(lambda: is_superseded(UUID(flow_run.id))):
        return Completed(name="Skipped", message="a later night is due too, and looks at the same")
    with (
        kept_messages(),
        RunFolder(Path(runs)).lock(join=True, patience=_PATIENCE),  # by this lock a killed night is found
        torch_threads(surroundings().machinery.threads),
    ):
        made = through_outages(lambda: _look(params, Path(runs), planned))
    if made.failed:
        raise NightlyError(
            f"{len(made.failed)} of {len(made.classes)} classes could not be debugged: "
            + "; ".join(f"{one.name!r}: {one.problem}" for one in made.failed)
            + ". What the others gave is kept; the same flow again, or the next night, goes on where these stopped"
        )
    return made


def _look(params: Params, runs: Path, planned: datetime) -> Night:
    """All of it; what is finished is reused."""
    params = do(champion, params)
    do(bring_data, params)
    folder = nights.night_folder(params, runs, version=classifier_of(params).fingerprint)
    with folder.lock(join=True):
        do(tasks.validate, params, str(folder.root))
        with shard_runner(surroundings().machinery) as runner:
            extract(runner, params, str(folder.root))
        do(tasks.extract, params, str(folder.root))
        line = do(lineage, params)
        worst = nights.worst_classes(folder, count=params.nightly.classes)
        found = tuple(_class(name, params, folder, line=line, date=f"{planned:%Y-%m-%d}") for name in worst)
        return do(keep_night, params, str(folder.root), found, planned)


def _class(name: str, params: Params, night: RunFolder, *, line: tuple[str, ...], date: str) -> ClassNight:
    """One class; what goes wrong in it stays its own."""
    run = nights.class_folder(night, name)
    try:
        with run.lock(join=True, patience=_PATIENCE):
            return _debug(name, nights.of_class(params, name), night, run, line=line, date=date)
    except Exception as error:  # whatever one class raises, the others are still to be looked at
        if is_outage(error):
            raise  # it is no class's own, and the next one would fail of it as well
        log.exception("class %r could not be debugged", name)
        return ClassNight(name, run.root, "failed", problem=str(error) or type(error).__name__)


def _debug(
    name: str, params: Params, night: RunFolder, run: RunFolder, *, line: tuple[str, ...], date: str
) -> ClassNight:
    folder = str(run.root)
    do(share, str(night.root), folder)
    found = [do(stage, params, folder) for stage in (tasks.validate, tasks.extract, tasks.diagnose)]
    if found[-1].summary["status"] == "nothing_to_explain":
        return ClassNight(name, run.root, "nothing_to_explain")
    news = do(look_for_news, params, folder, line, date)
    log.info("%s: %s", name, news.sentence)
    if not news.new:  # drawing is what costs hours
        return ClassNight(name, run.root, "nothing_new", news=news)
    with shard_runner(surroundings().machinery) as runner:
        draw(runner, params, folder)
    for stage in (tasks.visualize, tasks.review):
        do(stage, params, folder)
    return ClassNight(name, run.root, "asked", review=read_request(run).id, news=news)


@step("champion")
def champion(params: Params) -> Params:
    """Bring the model of the night here, in the version the registry names now."""
    chosen = nights.nightly_params(params)
    try:
        resolved = chain.with_resolved_model(chosen, all_tools(surroundings().machinery))
    except ModelSpecError as error:
        raise ModelSpecError(
            f"{error}. The nightly flow looks at {chosen.model.spec}: promote a version (`neuroinspect promote`), or name "
            "another model in `nightly.model` of the params file"
        ) from error
    chain.refuse_what_cannot_work(resolved)
    return resolved


@step("bring_data")
def bring_data(params: Params) -> None:
    """Bring the version of the data that its DVC file names."""
    revisions = all_tools(surroundings().machinery).revisions
    if revisions is not None:
        for place in chain.data_places(params):
            revisions.update(place)


@step("lineage")
def lineage(params: Params) -> tuple[str, ...]:
    """The models that this one was edited from: what was decided for them is decided."""
    return model_line(surroundings().machinery, params.model.origin)


@step("share")
def share(night: str, run: str) -> None:
    """Give a class what all classes share."""
    nights.share_stages(RunFolder(Path(night)), RunFolder(Path(run)))


@step("look_for_news")
def look_for_news(params: Params, run: str, line: tuple[str, ...], date: str) -> News:
    """Decide whether a class has anything new to ask, before anything is drawn."""
    book = needed_review_store(surroundings().machinery)
    return nights.find_news(RunFolder(Path(run)), params, book=book, line=line, date=date)


@step("keep_night")
def keep_night(params: Params, night: str, classes: tuple[ClassNight, ...], planned: datetime) -> Night:
    """Keep the figures of the night in MLflow, with the plot of all nights."""
    folder, machinery = RunFolder(Path(night)), surroundings().machinery
    day = f"{planned:%Y-%m-%d}"
    made = Night(
        key=nights.night_key(folder, day),
        date=day,
        folder=folder.root,
        model=nights.model_label(params.model, version=classifier_of(params).fingerprint),
        classes=classes,
    )
    identifier = night_history(machinery).keep(made, planned=planned)
    artifacts.show_tracked(machinery.mlflow_url, identifier)
    artifacts.show_night(made)
    return made


def _planned(night: str | None) -> datetime:
    """When the night was to begin: the same for every try of one flow run."""
    if night is None:
        planned: datetime = flow_run.scheduled_start_time
        return planned.astimezone(UTC)
    try:
        return datetime.combine(date.fromisoformat(night), datetime.min.time(), UTC)
    except ValueError as error:
        raise SettingsError(f"night {night!r}: expected a date, YYYY-MM-DD") from error
