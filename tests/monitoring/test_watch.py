"""Champions against the world: what is read, compared, written and asked for; and that each domain declares its own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.cluster import KMeans

from pipeline.customers.features import FEATURE_COLUMNS
from pipeline.customers.monitoring import MONITORED
from pipeline.customers.specs import CUSTOMER_SEGMENTS
from pipeline.domains import DOMAINS, find_domain
from pipeline.errors import RefusedError
from pipeline.lake.tables import Lake
from pipeline.monitoring import watch as watching
from pipeline.monitoring.watch import DRIFT_SCHEMA, DriftResult, checked_days, watch
from pipeline.registry.client import Registry
from pipeline.registry.records import Loaded, Provenance
from pipeline.training.monitored import AMOUNT, Performance

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain, ModelSpec

ROWS = 600
TRAINED, YESTERDAY, TODAY = date(2011, 12, 1), date(2011, 12, 9), date(2011, 12, 10)


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_every_model_is_monitored(domain: Domain) -> None:
    assert tuple(spec.name for spec in domain.specs()) == domain.model_names
    for spec in domain.specs():
        assert spec.monitored.prediction.kind == "prediction", spec.name
        assert {method.kind for method in spec.monitored.columns.values()} == {"data"}, spec.name


def test_every_feature_of_customers_has_its_method() -> None:
    assert tuple(MONITORED.columns) == FEATURE_COLUMNS


def monitored(**changes: Any) -> ModelSpec[Any]:
    """The customers' model with some of what is monitored changed."""
    return replace(CUSTOMER_SEGMENTS, monitored=replace(MONITORED, **changes))


def customers(as_of: date, seed: int, rows: int = ROWS, factor: float = 1.0) -> pa.Table:
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "customer_id": [f"{i:05d}" for i in range(rows)],
            "as_of": pa.array([as_of] * rows, pa.date32()),
            **{name: draw.gamma(2.0, 10.0, rows) * factor for name in FEATURE_COLUMNS if name not in CODES},
            **{name: draw.integers(0, 2, rows).astype(float) for name in CODES},
        }
    )


CODES = ("favourite_weekday", "favourite_hour", "is_home_country")
USED = ("revenue", "recency_days")


@pytest.fixture
def trained(home: Settings) -> Settings:
    """A home with a champion, and with features of its training day that were made again, differently, since."""
    lake, registry = Lake(home), Registry(home)
    made = lake.replace("customer_features", {"as_of": [TRAINED]}, customers(TRAINED, 1))
    rows = lake.read("customer_features").to_pandas()[list(USED)]
    champion = registry.log_challenger(
        "customer_segments",
        KMeans(3, n_init=1, random_state=7).fit(rows),
        provenance=Provenance(TRAINED, {"customer_features": made.version}, USED, 7, "abc"),
        example=rows,
        metrics={"silhouette": 0.4},
        artefacts={"segments.json": {"segments": [{"name": name} for name in ("insiders", "regulars", "once")]}},
    )
    registry.promote("customer_segments", champion.version, by="test", reason="first")
    lake.replace("customer_features", {"as_of": [TRAINED]}, customers(TRAINED, 1, factor=9.0))
    return home


def test_without_a_champion_there_is_nothing_to_watch(home: Settings) -> None:
    result, *_ = watch(home, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.retrain, result.page) == ("no champion", False, None)


def test_today_is_compared_with_the_version_the_champion_was_trained_on(trained: Settings) -> None:
    Lake(trained).replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    result, *_ = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.drifted, result.retrain) == ("no drift", (), False)
    assert result.model_version == 1


def drift_on(settings: Settings, day: date) -> DriftResult:
    """Check a day on which every amount has doubled."""
    Lake(settings).replace("customer_features", {"as_of": [day]}, customers(day, 2, factor=2.0))
    (result,) = watch(settings, day, [CUSTOMER_SEGMENTS])
    return result


def test_drift_of_two_checks_is_reported_and_acted_on(trained: Settings) -> None:
    lake = Lake(trained)
    first = drift_on(trained, YESTERDAY)
    assert (first.verdict, first.retrain) == ("drift", False)
    assert "in 1 of the newest 5 checks (it takes 2)" in first.reason
    result = drift_on(trained, TODAY)
    assert (result.verdict, result.retrain) == ("drift", True)
    assert {"revenue", "prediction"} <= set(result.drifted)
    assert not set(CODES) & set(result.drifted)

    rows = lake.read("drift", where={"as_of": [TODAY]}).to_pandas().set_index("column")
    assert sorted(rows.index) == sorted((*FEATURE_COLUMNS, "prediction"))
    assert set(rows.index[rows["drifted"]]) == set(result.drifted)
    assert rows.loc["prediction", "kind"] == "prediction"
    assert set(rows["model_version"]) == {1}

    assert result.page == "reports/drift/customer_segments/2011-12-10.html"
    page = lake.open_blob(result.page).read().decode()
    assert "distributions/2011-12-10.html" in page
    assert "A training is requested: the predictions have drifted" in page
    distributions = lake.open_blob("reports/drift/customer_segments/distributions/2011-12-10.html").read()
    assert b"revenue (log)" in distributions
    link = b'<a href="../2011-12-10.html" target="_blank" rel="noopener">Drift of customer segments</a>: drift of '
    assert link in distributions
    assert b"Dataset Drift" not in distributions, "Evidently's own verdict could contradict ours"
    assert result.figures is not None
    figures = json.loads(lake.open_blob(result.figures).read())
    assert figures["verdict"] == "drift"
    assert figures["retrain"] is True
    assert figures["reference"] == {"table": "customer_features", "version": 0, "as_of": "2011-12-01"}
    assert json.loads(json.dumps(result.as_dict()))["drifted"] == list(result.drifted)


def test_a_model_and_a_day_replace_only_themselves(trained: Settings) -> None:
    lake = Lake(trained)
    for day in (TODAY, date(2011, 12, 11)):
        lake.replace("customer_features", {"as_of": [day]}, customers(day, 2))
    small = monitored(columns={"revenue": AMOUNT})
    watch(trained, TODAY, [small])
    watch(trained, date(2011, 12, 11), [small])
    rows = lake.read("drift", where={"as_of": [TODAY]})
    other = rows.set_column(rows.column_names.index("model"), "model", pa.array(["other"] * rows.num_rows))
    lake.replace("drift", {"as_of": [TODAY], "model": ["other"]}, other)
    watch(trained, TODAY, [small])
    counts = lake.read("drift").to_pandas().groupby(["as_of", "model"]).size()
    assert counts.to_dict() == {
        (TODAY, "customer_segments"): 2,
        (TODAY, "other"): 2,
        (date(2011, 12, 11), "customer_segments"): 2,
    }


def test_a_day_without_features_is_too_few_rows(trained: Settings) -> None:
    result, *_ = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.retrain) == ("too few rows", False)
    assert Lake(trained).read("drift").num_rows == 0
    assert result.page is not None
    page = Lake(trained).open_blob(result.page).read().decode()
    assert "There are 600 rows of the training and 0 of this day, and a comparison needs at least 500 of each" in page


def test_a_reference_that_is_gone_is_said(trained: Settings) -> None:
    for file in Lake(trained).files("customer_features", 0):
        trained.home_path.joinpath(file).unlink()
    result, *_ = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.retrain) == ("no reference", False)
    assert "can no longer be read" in result.reason


def test_a_version_s_own_checks_count_however_many_others_came_between(
    trained: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Version 1 was in use, then version 2 for three weeks, then 1 again."""
    monkeypatch.setattr(watching, "SHOWN_CHECKS", 4)
    drift_on(trained, date(2011, 11, 1))
    lake = Lake(trained)
    rows = lake.read("drift")
    for number in range(21):
        day = date(2011, 11, 2) + timedelta(days=number)
        calm = {"as_of": pa.array([day] * len(rows), pa.date32()), "model_version": pa.array([2] * len(rows))}
        calm["drifted"] = pa.array([False] * len(rows))
        later = pa.table({name: calm.get(name, rows[name]) for name in rows.column_names}, schema=rows.schema)
        lake.replace("drift", {"as_of": [day], "model": ["customer_segments"]}, later)
    assert len(checked_days(lake, ["customer_segments", "store_sales"])) == 22
    assert drift_on(trained, TODAY).retrain, "2 of the version's newest 5 checks drifted"


def test_drift_on_an_earlier_day_only_is_no_reason(trained: Settings) -> None:
    drift_on(trained, date(2011, 12, 8))
    drift_on(trained, YESTERDAY)
    Lake(trained).replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    (result,) = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.retrain) == ("no drift", False)


def test_the_rows_of_the_training_are_nothing_to_compare(trained: Settings) -> None:
    (result,) = watch(trained, TRAINED, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.drifted, result.retrain) == ("nothing to compare yet", (), False)
    assert result.page is not None
    page = Lake(trained).open_blob(result.page).read().decode()
    assert "nothing to compare yet" in page
    assert "no drift" not in page


def test_a_training_that_was_refused_starts_the_cool_down_too(trained: Settings) -> None:
    lake, registry = Lake(trained), Registry(trained)
    drift_on(trained, YESTERDAY)
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2, factor=2.0))
    champion = registry.load("customer_segments")
    made_from = replace(champion.version.provenance, as_of=date(2011, 12, 8))
    example = lake.read("customer_features", 0).to_pandas()[list(USED)]
    registry.log_challenger("customer_segments", champion.model, provenance=made_from, example=example, metrics={})
    result, *_ = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.retrain) == ("drift", False)
    assert "2 days old" in result.reason


def test_what_cannot_be_read_fails_alone(trained: Settings) -> None:
    Lake(trained).replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))

    def gone(*_: Any) -> Performance:
        raise RefusedError("the forecasts are gone")

    broken = monitored(performance=gone)
    failed, done = watch(trained, TODAY, [broken, CUSTOMER_SEGMENTS])
    assert (failed.verdict, failed.retrain, failed.page) == ("failed", False, None)
    assert "the forecasts are gone" in failed.reason
    assert done.verdict == "no drift"


def test_the_error_of_what_has_come_is_a_row_a_verdict_and_a_reason(trained: Settings) -> None:
    lake = Lake(trained)
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    asked: list[tuple[int, date]] = []

    def grown(settings: Settings, champion: Loaded, day: date) -> Performance:
        assert settings is trained
        asked.append((champion.version.version, day))
        return Performance("rmse", 6.0, 2.0, 40, 1.5)

    lake.replace("customer_features", {"as_of": [YESTERDAY]}, customers(YESTERDAY, 2))
    (earlier,) = watch(trained, YESTERDAY, [monitored(performance=grown)])
    assert not earlier.retrain
    (result,) = watch(trained, TODAY, [monitored(performance=grown)])
    assert asked == [(1, YESTERDAY), (1, TODAY)]
    assert (result.verdict, result.drifted, result.retrain) == ("drift", ("rmse",), True)
    row = lake.read("drift", where={"as_of": [TODAY]}).to_pandas().set_index("column").loc["rmse"]
    assert (row["kind"], row["score"], row["threshold"], row["current_rows"]) == ("performance", 3.0, 1.5, 40)
    assert result.page is not None
    page = lake.open_blob(result.page).read().decode()
    assert "typical error on 40 predictions, 2 promised" in page
    (result,) = watch(trained, TODAY, [monitored(performance=lambda *_: None)])
    assert result.verdict == "no drift"


def test_which_days_were_checked_is_a_matter_of_the_models(trained: Settings) -> None:
    lake = Lake(trained)
    assert checked_days(lake, ["customer_segments"]) == []
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert checked_days(lake, ["customer_segments"]) == [TODAY]
    assert checked_days(lake, find_domain("footfall").model_names) == []


def test_what_the_service_is_asked_is_held_against_the_training(trained: Settings) -> None:
    lake = Lake(trained)
    lake.replace("customer_features", {"as_of": [TODAY]}, customers(TODAY, 2))
    rich = customers(TODAY, 3, factor=5.0).select(["revenue"]).to_pylist()
    inputs = [json.dumps(row) for row in rich]
    log = {
        "at": pa.array([datetime(2011, 12, 9, tzinfo=UTC)] * ROWS, pa.timestamp("us", tz="UTC")),
        "day": pa.array([date(2011, 12, 9)] * ROWS, pa.date32()),
        "model": ["segments"] * ROWS,
        "role": ["champion"] * ROWS,
        "versions": [json.dumps({"customer_segments": 1})] * ROWS,
        "request_id": [str(n) for n in range(ROWS)],
        "inputs": inputs,
        "output": ["{}"] * ROWS,
    }
    lake.append("predictions", pa.table(log), partition=["day"])
    other = log | {"versions": [json.dumps({"customer_segments": 11})] * ROWS, "inputs": ['{"recency_days": 1}'] * ROWS}
    lake.append("predictions", pa.table(other), partition=["day"])
    (result,) = watch(trained, TODAY, [CUSTOMER_SEGMENTS])
    assert not result.retrain
    rows = lake.read("drift", where={"model": ["customer_segments"]}).to_pylist()
    (asked,) = [row for row in rows if row["kind"] == "request"]
    assert (asked["column"], asked["drifted"], asked["current_rows"]) == ("revenue (asked)", True, ROWS)
    page = lake.path(str(result.page)).read_text()
    assert "What the prediction service was asked" in page
    shown = json.loads(lake.path(str(result.figures)).read_text())["distributions"]
    (revenue,) = [found for found in shown if found["column"] == "revenue"]
    assert revenue["requests"]["mean"] == pytest.approx(np.mean([json.loads(text)["revenue"] for text in inputs]))
    assert asked["current_mean"] == revenue["requests"]["mean"]


def test_checks_of_an_earlier_release_stay_and_are_part_of_the_history(trained: Settings) -> None:
    lake = Lake(trained)
    old = pa.schema([field for field in DRIFT_SCHEMA if not field.name.endswith("_mean")])
    row = {"as_of": YESTERDAY, "model": "customer_segments", "model_version": 1, "column": "revenue", "kind": "data"}
    row |= {"method": "wasserstein", "threshold": 0.2, "score": 0.1234, "drifted": False}
    row |= {"reference_rows": ROWS, "current_rows": ROWS}
    partition = {"as_of": [YESTERDAY], "model": ["customer_segments"]}
    lake.replace("drift", partition, pa.Table.from_pylist([row], schema=old))
    result = drift_on(trained, TODAY)
    kept = lake.read("drift", where={"as_of": [YESTERDAY]}).to_pylist()
    assert kept == [row | {"reference_mean": None, "current_mean": None}]
    page = lake.path(str(result.page)).read_text()
    assert "on the 2 days on which this version was checked" in page
