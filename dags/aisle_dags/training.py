"""The DAG that trains a model: `train_<model>`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, dag, get_current_context, task
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.interval import CronDataIntervalTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, champion_of, day_field, retraining_of
from aisle_dags.morning import morning_page
from aisle_dags.run_days import training_day
from aisle_dags.tasks import step
from pipeline.dates import format_day, parse_as_of
from pipeline.domains import domain_of
from pipeline.logs import log_event

if TYPE_CHECKING:
    from pipeline.settings import Settings

AT_ONCE, AFTER_APPROVAL = "as soon as the gate accepts it", "after a person has approved it"

log = logging.getLogger(__name__)


def training_dag(model: str, doc: str | None) -> DAG:
    """Make `train_<model>`: features, challenger, gate, promotion at once or after a person's approval.

    It runs each Monday, by hand, and whenever `watch` requests it. Candidates, where the model has several, are
    evaluated before the best one is trained.

    Args:
        model: the registered model.
        doc: the docstring of the DAG file, which Airflow shows.
    """
    domain = domain_of(model)
    champion, candidates = champion_of(model), list(domain.entry(model).candidates)
    candidates_field = {
        "candidates": Param(
            candidates,
            type="array",
            examples=candidates,
            minItems=1,
            title="Candidates",
            description_md="Each is evaluated on the newest days, held out of its training; the best is trained.",
        )
    }
    weekly = CronDataIntervalTimetable("0 6 * * 1", timezone="UTC")

    @dag(
        dag_id=f"train_{model}",
        # Airflow's annotation names the serialised form of an asset; its documentation passes assets.
        schedule=AssetOrTimeSchedule(timetable=weekly, assets=[retraining_of(model)]),  # type: ignore[list-item]
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=3,  # a run may wait days for approval, which must not hold up the others
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"training", domain.name},
        params={
            "as_of": day_field("As of", "The model is trained on data from before this day. Empty: the newest."),
            "seed": Param(
                None,
                type=["null", "integer"],
                minimum=0,
                title="Seed",
                description_md="Random seed; with the same data it gives the same model. Empty: `AISLE_SEED`.",
            ),
            "promote": Param(AT_ONCE, enum=[AT_ONCE, AFTER_APPROVAL], title="Promote"),
            **(candidates_field if candidates else {}),
        },
    )
    def define_tasks() -> None:
        @task(multiple_outputs=False)
        @step
        def build_features() -> dict[str, Any]:
            from pipeline.settings import load_settings
            from pipeline.training import lifecycle

            settings = load_settings()
            as_of = training_day(get_current_context(), lifecycle.known_days(settings, domain, model))
            log_event(log, "day chosen", model=model, as_of=format_day(as_of))
            return lifecycle.prepare(settings, domain, model, as_of).as_dict()

        @task
        @step
        def choose_candidates() -> list[str]:
            chosen: list[str] = get_current_context()["params"]["candidates"]
            return chosen

        @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['candidate'] }}")
        @step
        def try_candidate(candidate: str, features: dict[str, Any]) -> dict[str, float]:
            from pipeline.training import lifecycle

            settings, as_of = form_settings(get_current_context()["params"]), parse_as_of(features["day"])
            return lifecycle.evaluate_candidate(settings, domain.entry(model).spec(), as_of, candidate)

        @task(multiple_outputs=False)
        @step
        def train(features: dict[str, Any]) -> dict[str, Any]:
            from pipeline.training import lifecycle

            settings, as_of = form_settings(get_current_context()["params"]), parse_as_of(features["day"])
            return lifecycle.train(settings, domain.entry(model).spec(), as_of).as_dict()

        @task.branch
        @step
        def gate(challenger: dict[str, Any]) -> str | None:
            from pipeline.settings import load_settings
            from pipeline.training import lifecycle

            context = get_current_context()
            decision = lifecycle.gate(load_settings(), domain.entry(model).spec(), challenger["version"])
            context["ti"].xcom_push("reasons", list(decision.reasons))
            if not decision.accepted:
                return None
            return "approve" if context["params"]["promote"] == AFTER_APPROVAL else "promote"

        approve = ApprovalOperator(
            task_id="approve",
            subject=f"Promote version {{{{ ti.xcom_pull('train')['version'] }}}} of {model}?",
            body="{{ ti.xcom_pull('gate', key='reasons') | join('\n\n') }}",
            response_timeout=timedelta(days=3),
        )

        @task(task_id="promote", outlets=[champion], trigger_rule="none_failed_min_one_success")
        @step
        def promote_challenger(challenger: dict[str, Any]) -> None:
            from pipeline.settings import load_settings
            from pipeline.training.lifecycle import promote

            context = get_current_context()
            promote(load_settings(), challenger["model"], challenger["version"], by=f"Airflow, {context['run_id']}")
            context["outlet_events"][champion].extra = {"version": challenger["version"]}

        features = build_features()
        challenger = train(features)
        if candidates:
            try_candidate.partial(features=features).expand(candidate=choose_candidates()) >> challenger
        decision = gate(challenger)
        decision >> [approve, promoted := promote_challenger(challenger)]
        approve >> promoted >> morning_page()

    return define_tasks()


def form_settings(params: Mapping[str, Any]) -> Settings:
    """The settings, with the seed of the run's form where it names one."""
    from pipeline.settings import load_settings

    seed = params.get("seed")
    return load_settings() if seed is None else load_settings(seed=seed)
