"""The flow that puts a version into service, by the same rules as `neuroinspect promote`."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.artifacts import as_text, carry_on
from flows.messages import kept_messages
from flows.surroundings import surroundings
from flows.tasks import do, step
from neuroinspect.assembly import promotions
from neuroinspect.promotion import Judgement, Promotion


@flow(name="promote", flow_run_name="promote {name} {version}", persist_result=False)
def promote(name: str, version: str, by: str, override: str | None = None) -> Promotion:
    """Judge a version by the promotion policy, and make it the champion if every rule holds.

    Args:
        name: of the registered model.
        version: its number, or an alias such as `candidate`.
        by: who promotes.
        override: why it is to serve although a rule does not hold; recorded.
    """
    with kept_messages():
        return do(judge_and_promote, name, version, by, override)


@step("judge_and_promote")
def judge_and_promote(name: str, version: str, by: str, override: str | None) -> Promotion:
    """In one step: what is promoted is what was judged. Tried again it finds the version serving already."""
    desk = promotions(surroundings().machinery)
    judged = desk.judge(name, version)
    show_rules(judged)
    return desk.promote(judged, by=by, override=override)


def show_rules(judged: Judgement) -> None:
    """Every rule with its figure, as a table in Prefect."""
    with carry_on("rules"):
        champion = "nothing" if judged.champion is None else f"version {judged.champion.number}"
        rows: list[dict[str, Any]] = [
            {"rule": rule.name, "asked": rule.asked, "came": rule.came, "bias only": rule.bias, "holds": rule.holds}
            for rule in judged.rules
        ]
        candidate = judged.candidate
        description = f"{as_text(candidate.name)} version {candidate.number}, in place of {champion}"
        create_table_artifact(rows, key="promotion", description=description)
