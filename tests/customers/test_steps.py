"""The customers' steps on the simulated shop, from lines to segments, a registered model, a page and a drift report."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.customers import segments
from pipeline.customers.customer_endpoint import CustomerPredictor, CustomerRow
from pipeline.customers.domain import DOMAIN, MOVEMENTS_TABLE
from pipeline.customers.segment_map import SEGMENTS_FILE, SegmentMap
from pipeline.customers.specs import CUSTOMER_SEGMENTS
from pipeline.customers.study.spaces import LOG_STANDARDISED
from pipeline.customers.study.steps import study_segments
from pipeline.domains import spec_of
from pipeline.errors import RefusedError
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.registry.client import Registry
from pipeline.registry.records import Provenance
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring

AS_OF = date(2025, 7, 1)
MODEL, RESULT = "customer_segments", "customer_segments"
ROOT = Path(__file__).resolve().parents[2]


def settings_of(home: Path) -> Settings:
    """A home whose source is a small simulated shop."""
    sources = home.parent / "sources.yaml"
    text = (ROOT / "sources.yaml").read_text().replace("customers=900", "customers=300")
    sources.write_text(text)
    return Settings(home=str(home), sources=sources, expectations=ROOT / "expectations", code_version="abc123")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """A shop's half year, with features as of two days and a champion."""
    home = tmp_path_factory.mktemp("shop") / "home"
    home.mkdir()
    shutil.copy(empty_mlflow, home / "mlflow.db")
    settings = settings_of(home)
    for delivery in ingestion.pending(
        settings, "transactions", since=date(2025, 1, 1), until=AS_OF + timedelta(days=7)
    ):
        ingestion.ingest(settings, delivery)
    lifecycle.build_features(settings, DOMAIN, AS_OF)
    version = lifecycle.train(settings, spec_of(MODEL), AS_OF).version
    assert lifecycle.gate(settings, spec_of(MODEL), version).accepted
    lifecycle.promote(settings, MODEL, version, by="test")
    return settings


@pytest.fixture
def shop(trained: Settings, tmp_path: Path) -> Settings:
    """A shop of one's own, with a champion."""
    shutil.copytree(trained.home, tmp_path / "home")
    settings = settings_of(tmp_path / "home")
    return settings.model_copy(update={"artifacts": trained.artifacts_uri})


def test_the_first_model_beats_the_floors_and_is_promoted_on_record(trained: Settings) -> None:
    registry = Registry(trained)
    champion = registry.champion(MODEL)
    assert champion is not None
    assert champion.provenance.as_of == AS_OF
    assert champion.provenance.features == segments.SEGMENT_FEATURES
    assert set(champion.provenance.tables) == {"transactions", "customer_features"}
    (record,) = registry.history(MODEL)
    assert (record.action, record.version, record.by) == ("promote", champion.version, "test")


def test_features_as_of_a_day_know_nothing_of_later_days(trained: Settings, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    early = settings_of(tmp_path / "home")
    (delivery,) = ingestion.pending(early, "transactions", since=date(2025, 1, 1), until=AS_OF)
    ingestion.ingest(early, delivery)
    lifecycle.build_features(early, DOMAIN, AS_OF)
    read = [
        Lake(s).read(DOMAIN.features_table, where={"as_of": [AS_OF]}).sort_by("customer_id") for s in (trained, early)
    ]
    assert read[0].num_rows > 100
    assert read[0].equals(read[1])


def test_building_features_again_replaces_the_day_and_leaves_others(shop: Settings) -> None:
    lake, other = Lake(shop), AS_OF + timedelta(days=3)
    before = lake.read(DOMAIN.features_table).num_rows
    ref = lifecycle.build_features(shop, DOMAIN, other)
    lifecycle.build_features(shop, DOMAIN, AS_OF)
    assert lake.read(DOMAIN.features_table, ref.version, {"as_of": [AS_OF]}).num_rows == before
    assert lake.days(DOMAIN.features_table) == [AS_OF, other]


def test_scores_are_every_customers_and_the_models_own(shop: Settings) -> None:
    ref = scoring.score(shop, DOMAIN, AS_OF)
    assert ref is not None
    lake = Lake(shop)
    scored = lake.read(RESULT, where={"as_of": [AS_OF]}).to_pandas().set_index("customer_id")
    features = lake.read(DOMAIN.features_table, where={"as_of": [AS_OF]}).to_pandas().set_index("customer_id")
    loaded = Registry(shop).load(MODEL, trusted_types=CUSTOMER_SEGMENTS.trusted_types)
    model = segments.SegmentModel(loaded.model, SegmentMap.from_record(loaded.artefacts[SEGMENTS_FILE]))
    assert sorted(scored.index) == sorted(features.index)
    assert (scored["segment"].to_numpy() == model.predict(features.loc[scored.index])).all()
    assert set(scored["model_version"]) == {loaded.version.version}
    assert "insiders" in set(scored["segment_name"])


def test_the_page_tells_segments_and_guests(shop: Settings) -> None:
    scoring.score(shop, DOMAIN, AS_OF)
    page = (shop.home_path / scoring.write_report(shop, DOMAIN, AS_OF)).read_text()
    assert "insiders" in page
    assert "Guests" in page
    assert 'src="http' not in page


def test_the_same_inputs_give_the_same_version_and_a_tie_keeps_the_champion(shop: Settings) -> None:
    champion = Registry(shop).champion(MODEL)
    assert champion is not None
    # The first one had no champion to take its segments' identity from, the next two had the same.
    second, third = lifecycle.train(shop, spec_of(MODEL), AS_OF), lifecycle.train(shop, spec_of(MODEL), AS_OF)
    assert second == third
    decision = lifecycle.gate(shop, spec_of(MODEL), second.version)
    assert not decision.accepted
    now = Registry(shop).champion(MODEL)
    assert now is not None
    assert now.version == champion.version
    names = [s["name"] for s in Registry(shop).artefacts(MODEL, second.version)[SEGMENTS_FILE]["segments"]]
    assert names == [s["name"] for s in Registry(shop).artefacts(MODEL)[SEGMENTS_FILE]["segments"]]


def test_provenance_names_the_transactions_that_the_features_were_made_from(shop: Settings) -> None:
    lake, registry = Lake(shop), Registry(shop)
    champion = registry.get(MODEL)
    features = champion.provenance.tables["customer_features"]
    made_from = lake.inputs("customer_features", {"as_of": [AS_OF]}, features)
    assert made_from == {"transactions": champion.provenance.tables["transactions"]}
    # Rows that arrive after the features were made are another version, which the model has not seen.
    rows = lake.read("transactions", where={"day": [AS_OF - timedelta(days=1)]})
    lake.replace("transactions", {"day": [AS_OF - timedelta(days=1)]}, rows)
    trained = lifecycle.train(shop, spec_of(MODEL), AS_OF)
    assert registry.get(MODEL, trained.version).provenance.tables["transactions"] == made_from["transactions"]


def test_features_that_are_built_again_with_the_same_rows_give_the_same_version(shop: Settings) -> None:
    first = lifecycle.train(shop, spec_of(MODEL), AS_OF).version
    for _ in range(2):
        lifecycle.build_features(shop, DOMAIN, AS_OF)
        assert lifecycle.train(shop, spec_of(MODEL), AS_OF).version == first


def test_a_model_that_knows_less_than_the_champion_is_stopped(shop: Settings) -> None:
    earlier = AS_OF - timedelta(days=30)
    lifecycle.build_features(shop, DOMAIN, earlier)
    decision = lifecycle.gate(shop, spec_of(MODEL), lifecycle.train(shop, spec_of(MODEL), earlier).version)
    assert not decision.accepted
    assert any(reason.startswith(f"as of {earlier}, but wanted: not before {AS_OF}") for reason in decision.reasons)


def challenger_from(settings: Settings, spoil: Callable[[pd.DataFrame], pd.DataFrame]) -> int:
    """A challenger that was fitted on spoilt features and says of itself that it was on the real ones."""
    registry, lake = Registry(settings), Lake(settings)
    frame = lake.read(DOMAIN.features_table, where={"as_of": [AS_OF]}).to_pandas()
    champion = registry.load(MODEL, trusted_types=CUSTOMER_SEGMENTS.trusted_types)
    pipeline = segments.build_pipeline(len(champion.artefacts[SEGMENTS_FILE]["segments"]), 7)
    wanted = list(segments.SEGMENT_FEATURES)
    pipeline.fit(spoil(frame[wanted]))
    made_from = champion.version.provenance
    provenance = Provenance(AS_OF, {**made_from.tables}, segments.SEGMENT_FEATURES, 8, "spoilt")
    registered = registry.log_challenger(
        MODEL,
        pipeline,
        provenance=provenance,
        example=frame[wanted],
        metrics={},
        artefacts=champion.artefacts,
        trusted_types=CUSTOMER_SEGMENTS.trusted_types,
    )
    return registered.version


def shuffled(frame: pd.DataFrame) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame({name: rng.permutation(frame[name].to_numpy()) for name in frame})


def far_away(frame: pd.DataFrame) -> pd.DataFrame:
    """Nearly all real customers fall into one cluster of a model that was fitted to others."""
    return frame * np.random.default_rng(7).uniform(50, 5000, frame.shape)


@pytest.mark.parametrize("spoil", [shuffled, far_away])
def test_a_worse_model_is_stopped_and_that_is_on_record(
    shop: Settings, spoil: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    registry = Registry(shop)
    before = registry.champion(MODEL)
    assert before is not None
    version = challenger_from(shop, spoil)
    decision = lifecycle.gate(shop, spec_of(MODEL), version)
    assert not decision.accepted
    after = registry.champion(MODEL)
    assert after is not None
    assert after.version == before.version
    last = registry.history(MODEL)[-1]
    assert (last.action, last.version, last.by) == ("refuse", version, "gate")
    assert last.reason == "; ".join(decision.reasons)
    with pytest.raises(RefusedError):
        lifecycle.promote(shop, MODEL, version, by="test")


def test_rolling_back_makes_the_champion_before_champion_again(shop: Settings) -> None:
    registry = Registry(shop)
    first = registry.champion(MODEL)
    assert first is not None
    second = lifecycle.train(shop, spec_of(MODEL), AS_OF).version
    registry.promote(MODEL, second, by="test", reason="by hand")
    record = registry.rollback(MODEL, by="test", reason="customers complained")
    now = registry.champion(MODEL)
    assert now is not None
    assert (record.action, record.version, record.previous, now.version) == (
        "rollback",
        first.version,
        second,
        first.version,
    )
    scoring.score(shop, DOMAIN, AS_OF)
    assert set(Lake(shop).read(RESULT)["model_version"].to_pylist()) == {first.version}


def write_features(settings: Settings, rows: pa.Table, day: date, *, copies: int = 1, **factors: float) -> None:
    """Write rows as the features of a day: copies of each customer under other ids, columns multiplied by factors."""
    tables = []
    for copy in range(copies):
        ids = pa.array([f"{customer}-{copy}" for customer in rows["customer_id"].to_pylist()], pa.string())
        table = rows.set_column(rows.schema.get_field_index("customer_id"), "customer_id", ids)
        for name, factor in factors.items():
            moved = pa.compute.multiply(table[name], factor)
            table = table.set_column(table.schema.get_field_index(name), name, moved)
        days = pa.array([day] * table.num_rows, pa.date32())
        tables.append(table.set_column(table.schema.get_field_index("as_of"), "as_of", days))
    Lake(settings).replace(DOMAIN.features_table, {"as_of": [day]}, pa.concat_tables(tables))


def drift_scores(settings: Settings, day: date) -> pd.DataFrame:
    """The rows of the table `drift` as of a day, by column."""
    return Lake(settings).read("drift", where={"as_of": [day]}).to_pandas().set_index("column")


def test_fewer_customers_than_a_comparison_needs_are_too_few_rows_and_never_no_drift(shop: Settings) -> None:
    rows = Lake(shop).read(DOMAIN.features_table, where={"as_of": [AS_OF]})
    assert rows.num_rows < CUSTOMER_SEGMENTS.monitored.minimum_rows
    day = AS_OF + timedelta(days=1)
    write_features(shop, rows, day, revenue=8.0)
    (result,) = watch(shop, day, [CUSTOMER_SEGMENTS])
    assert (result.verdict, result.drifted, result.retrain) == ("too few rows", (), False)


def test_planted_drift_is_found_in_the_column_that_has_it_and_in_no_other(shop: Settings) -> None:
    rows = Lake(shop).read(DOMAIN.features_table, where={"as_of": [AS_OF]})
    write_features(shop, rows, AS_OF, copies=4)
    version = lifecycle.train(shop, spec_of(MODEL), AS_OF).version
    Registry(shop).promote(MODEL, version, by="test", reason="trained on enough customers")
    same, dearer = AS_OF + timedelta(days=1), AS_OF + timedelta(days=2)

    write_features(shop, rows, same, copies=4)
    (quiet,) = watch(shop, same, [CUSTOMER_SEGMENTS])
    assert (quiet.verdict, quiet.drifted, quiet.retrain) == ("no drift", (), False)
    assert quiet.model_version == version

    write_features(shop, rows, dearer, copies=4, revenue=8.0)
    (loud,) = watch(shop, dearer, [CUSTOMER_SEGMENTS])
    assert (loud.verdict, loud.drifted) == ("drift", ("revenue",))
    scores = drift_scores(shop, dearer)
    assert scores.loc["revenue", "score"] > scores.loc["revenue", "threshold"]
    assert scores.loc["invoices", "score"] < scores.loc["invoices", "threshold"]
    assert scores.loc["revenue", "current_rows"] == 4 * rows.num_rows


def test_steps_without_what_they_need_say_what_to_do(shop: Settings) -> None:
    nobody = AS_OF + timedelta(days=4000)
    for step in (lifecycle.build_features, scoring.score, scoring.write_report):
        with pytest.raises(RefusedError, match="do next"):
            step(shop, DOMAIN, nobody)
    with pytest.raises(RefusedError, match="do next"):
        lifecycle.train(shop, spec_of(MODEL), nobody)


def test_without_a_champion_nothing_is_scored(home: Settings) -> None:
    assert scoring.score(home, DOMAIN, AS_OF) is None


def test_a_model_with_a_table_of_its_own_waits_for_its_champion_and_stops_nothing(shop: Settings) -> None:
    assert scoring.score(shop, DOMAIN, AS_OF) is not None
    lake = Lake(shop)
    assert not lake.exists("recommendations")
    assert lake.read(RESULT, where={"as_of": [AS_OF]}).num_rows > 100


def test_lists_of_the_night_are_the_champions_and_known_before_the_day(shop: Settings) -> None:
    spec = spec_of("recommendations")
    version = lifecycle.train(shop, spec, AS_OF).version
    lifecycle.gate(shop, spec, version)
    reason = "customers of the simulated shop have no tastes"
    Registry(shop).promote("recommendations", version, by="test", reason=reason)
    assert scoring.score(shop, DOMAIN, AS_OF) is not None
    lake = Lake(shop)
    rows = lake.read("recommendations", where={"as_of": [AS_OF]}).to_pandas()
    customers = set(lake.read(DOMAIN.features_table, where={"as_of": [AS_OF]})["customer_id"].to_pylist())
    assert set(rows["model_version"]) == {version}
    assert set(rows["list"]) == {"best", "buy again", "new to you", "goes with", "popular"}
    for name in ("best", "buy again", "new to you"):
        assert set(rows.loc[rows["list"] == name, "subject"]) == customers
    again, new = (rows[rows["list"] == name].set_index("subject")["products"] for name in ("buy again", "new to you"))
    assert all(set(again[customer]).isdisjoint(new[customer]) for customer in customers)
    assert rows.loc[rows["list"] == "best", "chance"].between(0, 1).all()
    (drift,) = watch(shop, AS_OF, [spec])
    assert drift.verdict == "nothing to compare yet"
    page = (shop.home_path / scoring.write_report(shop, DOMAIN, AS_OF)).read_text()
    assert "What to recommend" in page
    assert "How good the recommendations are" in page


def forget_customers(lake: Lake) -> None:
    """Lines that change after the scoring, so that a review would find others than what was kept."""
    day = AS_OF - timedelta(days=1)
    rows = lake.read("transactions", where={"day": [day]})
    at = rows.schema.get_field_index("customer_id")
    lake.replace("transactions", {"day": [day]}, rows.set_column(at, "customer_id", pa.nulls(len(rows), pa.string())))


def read_members(lake: Lake) -> tuple[list[str], list[str]]:
    """The members that the night kept, and the customers who are none."""
    rows = lake.read("loyalty_programme", where={"as_of": [AS_OF]}).to_pylist()
    return tuple([row["customer_id"] for row in rows if row["member"] == member] for member in (True, False))  # type: ignore[return-value]


def test_movements_follow_customers_over_a_month_and_a_training(shop: Settings) -> None:
    lake, earlier = Lake(shop), AS_OF - timedelta(days=30)
    lifecycle.build_features(shop, DOMAIN, earlier)
    before = scoring.score(shop, DOMAIN, earlier)
    assert before
    assert lake.read(MOVEMENTS_TABLE).num_rows == 0, "no day was scored before"
    Registry(shop).promote(MODEL, challenger_from(shop, lambda frame: frame), by="test", reason="test")
    scoring.score(shop, DOMAIN, AS_OF)
    moved = lake.read(MOVEMENTS_TABLE, where={"as_of": [AS_OF]}).to_pandas()
    scored = {day: lake.read(RESULT, where={"as_of": [day]}).num_rows for day in (earlier, AS_OF)}
    for since in ("last month", "last training"):
        rows = moved[moved["since"] == since]
        assert set(rows["compared_with"]) == {earlier}
        assert rows["from_segment"].notna().sum() == scored[earlier]
        assert rows["to_segment"].notna().sum() == scored[AS_OF]
        assert rows["customer_id"].is_unique
    forget_customers(lake)
    address = scoring.write_report(shop, DOMAIN, AS_OF)
    page = lake.path(address).read_text()
    assert "Movements since last month" in page
    assert "Movements since the last training" in page
    # The page, its list and the service name the members that the night kept.
    with lake.path(address.replace(".html", "-insiders.csv")).open(newline="") as file:
        listed = [row["customer_id"] for row in csv.DictReader(file)]
    members, others = read_members(lake)
    assert sorted(listed) == members
    loaded = {MODEL: Registry(shop).load(MODEL, trusted_types=CUSTOMER_SEGMENTS.trusted_types)}
    asked = [CustomerRow(customer=customer) for customer in (members[0], others[0])]
    answers = cast(Any, CustomerPredictor(loaded, shop).predict([asked]).answers)
    assert [(found.programme.member, found.programme.reviewed) for found in answers] == [
        (True, "2025-07-01"),
        (False, "2025-07-01"),
    ]


def test_the_study_writes_its_page_and_nothing_else(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.customers.study.study.SPACES", (LOG_STANDARDISED,))
    lake, tables = Lake(shop), ("transactions", "customer_features")
    versions = [lake.version(table) for table in tables]
    done = study_segments(shop, AS_OF, set_aside=True)
    assert done["customers"] + len(done["outliers"]) == lake.read(tables[1], where={"as_of": [AS_OF]}).num_rows
    assert [lake.version(table) for table in tables] == versions
    assert not lake.exists(RESULT)
    assert {one["algorithm"] for one in done["best"]} == {"k-means", "Gaussian mixture", "Ward"}
    assert "They were set aside" in lake.path(done["page"]).read_text()
