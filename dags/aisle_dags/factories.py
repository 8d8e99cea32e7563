"""The wiring that DAGs of the same kind share: an ingestion, a domain's morning, a training.

A DAG file says in its docstring what its DAG is for and hands it to one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, Param, PokeReturnValue, dag, get_current_context, task
from airflow.timetables.assets import AssetOrTimeSchedule
from airflow.timetables.interval import CronDataIntervalTimetable

from aisle_dags.conventions import DEFAULT_ARGS, FIRST_DAY, champion_of, day_field, retraining_of, scores_of
from aisle_dags.run_days import event_days, form_span, pending, span_of, training_day
from aisle_dags.tasks import skip, step
from pipeline.dates import DAY, format_day, parse_as_of
from pipeline.errors import RefusedError

AT_ONCE, ASK = "as soon as the gate agrees", "when a person agrees as well"


def ingestion_dag(table: str, doc: str | None) -> DAG:
    """`ingest_<table>`: wait, land, check, commit; a refused delivery does not stop the others."""
    landed_in = Asset(table)

    @dag(
        dag_id=f"ingest_{table}",
        schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,  # a delivery's volume is judged against the days before it, so days go in order
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"ingestion", table},
        params={
            "from": day_field("From", "First day to bring in. Empty: the day of the run's data interval."),
            "until": day_field("Until", "First day that no longer belongs to it. Empty: the day after *From*."),
            "source": Param(None, type=["null", "string"], title="Source", description_md="Empty: the first one."),
        },
    )
    def wired() -> None:
        @task.sensor(mode="reschedule", poke_interval=timedelta(minutes=5), timeout=timedelta(hours=12))
        @step
        def wait_for_delivery() -> PokeReturnValue:
            from pipeline.ingestion.deliveries import find_deliveries, is_closed
            from pipeline.ingestion.sources import load_sources
            from pipeline.settings import load_settings

            settings, context = load_settings(), get_current_context()
            span, name = span_of(context), context["params"]["source"]
            source = load_sources(settings, table, name).get(table, name)
            if all(is_closed(source, day) for day in span.days):
                raise skip("the shop is closed, so nothing will come")
            found = find_deliveries(settings, source, since=span.since, until=span.until)
            return PokeReturnValue(bool(found), [delivery.as_dict() for delivery in found])

        @task
        @step
        def land(deliveries: list[dict[str, Any]]) -> list[dict[str, Any]]:
            from pipeline.ingestion import steps as ingestion
            from pipeline.ingestion.deliveries import Delivery
            from pipeline.settings import load_settings

            return [ingestion.land(load_settings(), Delivery.from_dict(delivery)).as_dict() for delivery in deliveries]

        @task(multiple_outputs=False)
        @step
        def check(landed: list[dict[str, Any]]) -> dict[str, Any]:
            from pipeline.ingestion import steps as ingestion
            from pipeline.settings import load_settings

            accepted, refused = [], []
            for record in landed:
                try:
                    accepted.append(ingestion.check(load_settings(), ingestion.Landed.from_dict(record)).as_dict())
                except RefusedError as error:
                    refused.append(str(error))
            return {"accepted": accepted, "refused": refused}

        @task(outlets=[landed_in])
        @step
        def commit(checked: dict[str, Any]) -> None:
            from pipeline.ingestion import steps as ingestion
            from pipeline.settings import load_settings

            if not checked["accepted"]:
                raise skip("no delivery was accepted")
            settings, context = load_settings(), get_current_context()
            done = [ingestion.commit(settings, ingestion.Landed.from_dict(record)) for record in checked["accepted"]]
            day = max((day for delivery in done for day in delivery.days), default=span_of(context).last)
            extra = {"table": table, "version": max(delivery.ref.version for delivery in done)}
            context["outlet_events"][landed_in].extra = extra | {"day": format_day(day)}

        @task(trigger_rule="none_failed_min_one_success")
        @step
        def refusals(checked: dict[str, Any]) -> None:
            if checked["refused"]:
                raise RefusedError("Deliveries were refused", observed="\n".join(checked["refused"]))

        checked = check(land(wait_for_delivery()))
        commit(checked) >> refusals(checked)

    return wired()


def scoring_dag(domain: str, doc: str | None, *, inputs: Iterable[str], features: str, models: Iterable[str]) -> DAG:
    """A domain's DAG: features, scores of the champions, the page; for every as-of day that is pending.

    Args:
        inputs: the tables whose events start it; the days of the first are the domain's.
        features: the table of features.
        models: whose champions score; another version of any starts it too.
    """
    inputs, models = list(inputs), list(models)
    features_made, scores_made = Asset(features), scores_of(domain)
    first, *others = [*(Asset(name) for name in inputs), *(champion_of(model) for model in models)]
    schedule = first
    for other in others:
        schedule = schedule | other

    @dag(
        dag_id=domain,
        schedule=schedule,
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=1,  # events that arrive meanwhile wait and are worked off together
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"domain", domain},
        params={
            "from": day_field("From", "First as-of day. Empty: whatever is pending."),
            "until": day_field("Until", "First as-of day that no longer belongs to it. Empty: the day after *From*."),
        },
    )
    def wired() -> None:
        @task(outlets=[features_made])
        @step
        def build_features() -> list[dict[str, Any]]:
            from pipeline.domains import steps_of
            from pipeline.lake.tables import Lake
            from pipeline.settings import load_settings

            settings, context, steps = load_settings(), get_current_context(), steps_of(domain)
            lake = Lake(settings)
            if span := form_span(context["params"]):
                days = span.days
            else:
                known = [day + DAY for day in lake.days(steps.INPUT_TABLE)]
                hinted = [day for day in (day + DAY for day in event_days(context)) if day in known]
                days = pending(known, lake.days(steps.SCORES_TABLE), hinted)
            if not days:
                raise skip(f"the lake holds no {steps.INPUT_TABLE} yet")
            tables = [steps.build_features(settings, day).as_dict() for day in days]
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            context["outlet_events"][features_made].extra = extra
            return tables

        @task(outlets=[scores_made])
        @step
        def score(features: list[dict[str, Any]]) -> list[dict[str, Any]]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            settings, steps = load_settings(), steps_of(domain)
            scored = [steps.score(settings, parse_as_of(table["day"])) for table in features]
            tables = [table.as_dict() for table in scored if table]
            if not tables:
                raise skip(f"{domain} lacks a champion: trigger {', '.join(f'train_{model}' for model in models)}")
            extra = tables[-1] | {"days": [table["day"] for table in tables]}
            get_current_context()["outlet_events"][scores_made].extra = extra
            return tables

        @task
        @step
        def write_report(scores: list[dict[str, Any]]) -> list[str]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            steps = steps_of(domain)
            return [steps.write_report(load_settings(), parse_as_of(table["day"])) for table in scores]

        write_report(score(build_features()))

    return wired()


def training_dag(model: str, domain: str, doc: str | None, *, candidates: Iterable[str] = ()) -> DAG:
    """`train_<model>`: features, challenger, gate, promotion at once or when a person agrees.

    Weekly, by hand, and whenever `watch` asks for it.

    Args:
        candidates: kinds of model of which each is tried before the best is trained; none where there is only one.
    """
    champion, candidates = champion_of(model), list(candidates)
    choice = {
        "candidates": Param(
            candidates,
            type="array",
            examples=candidates,
            minItems=1,
            title="Candidates",
            description_md="Each is tried on the newest days as if they had not come; the best is trained.",
        )
    }
    weekly = CronDataIntervalTimetable("0 6 * * 1", timezone="UTC")

    @dag(
        dag_id=f"train_{model}",
        schedule=AssetOrTimeSchedule(timetable=weekly, assets=[retraining_of(model)]),
        start_date=FIRST_DAY,
        catchup=False,
        max_active_runs=3,  # one may wait days for a person, which must not hold up the others
        default_args=DEFAULT_ARGS,
        doc_md=doc,
        tags={"training", domain},
        params={
            "as_of": day_field("As of", "The model knows what happened strictly before this day. Empty: the newest."),
            "seed": Param(7, type="integer", minimum=0, title="Seed", description_md="Same seed, tables: same model."),
            "promote": Param(AT_ONCE, enum=[AT_ONCE, ASK], title="Promote"),
            **(choice if candidates else {}),
        },
    )
    def wired() -> None:
        @task(multiple_outputs=False)
        @step
        def build_features() -> dict[str, Any]:
            from pipeline.domains import known_days, prepare
            from pipeline.settings import load_settings

            settings = load_settings()
            as_of = training_day(get_current_context(), known_days(settings, model))
            return prepare(settings, model, as_of).as_dict()

        @task
        @step
        def choose_candidates() -> list[str]:
            chosen: list[str] = get_current_context()["params"]["candidates"]
            return chosen

        @task(multiple_outputs=False, map_index_template="{{ task.op_kwargs['candidate'] }}")
        @step
        def try_candidate(candidate: str, features: dict[str, Any]) -> dict[str, float]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            settings = load_settings(seed=get_current_context()["params"]["seed"])
            return steps_of(domain).try_candidate(settings, parse_as_of(features["day"]), candidate)

        @task(multiple_outputs=False)
        @step
        def train(features: dict[str, Any]) -> dict[str, Any]:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            settings = load_settings(seed=get_current_context()["params"]["seed"])
            return steps_of(domain).train(settings, model, parse_as_of(features["day"])).as_dict()

        @task.branch
        @step
        def gate(challenger: dict[str, Any]) -> str | None:
            from pipeline.domains import steps_of
            from pipeline.settings import load_settings

            context = get_current_context()
            decision = steps_of(domain).gate(load_settings(), model, challenger["version"])
            context["ti"].xcom_push("reasons", list(decision.reasons))
            if not decision.accepted:
                return None
            return "approve" if context["params"]["promote"] == ASK else "promote"

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
        approve >> promoted

    return wired()
