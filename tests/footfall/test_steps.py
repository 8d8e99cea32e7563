"""Footfall from deliveries to the page, with days and without."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.dates import UNDATED_AS_OF
from pipeline.domains import spec_of
from pipeline.errors import RefusedError
from pipeline.footfall import buyers
from pipeline.footfall.buyers import MODEL
from pipeline.footfall.domain import DOMAIN
from pipeline.footfall.monitoring import error_since
from pipeline.footfall.specs import FOOTFALL_BUYERS, backtest, load
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training import lifecycle, scoring
from pipeline.training.spec import Run

ROOT = Path(__file__).resolve().parents[2]
START, AS_OF, LATER = date(2025, 1, 1), date(2025, 3, 1), date(2025, 6, 1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, empty_mlflow: Path) -> Settings:
    """A home with five months of the simulated door, of which the line of the first two is in use."""
    home = tmp_path_factory.mktemp("footfall")
    shutil.copy(empty_mlflow, home / "mlflow.db")
    made = Settings(
        home=str(home), sources=ROOT / "sources.yaml", expectations=ROOT / "expectations", code_version="abc123"
    )
    for delivery in ingestion.pending(made, "footfall", since=START, until=LATER):
        ingestion.ingest(made, delivery)
    lifecycle.build_features(made, DOMAIN, AS_OF)
    trained = lifecycle.train(made, spec_of(MODEL), AS_OF)
    assert lifecycle.gate(made, spec_of(MODEL), trained.version).accepted
    lifecycle.promote(made, MODEL, trained.version, by="test")
    return made


def test_features_know_the_days_before(settings: Settings) -> None:
    rows = Lake(settings).read(DOMAIN.features_table, where={"as_of": [AS_OF]}).to_pandas()
    assert len(rows) == (AS_OF - START).days
    assert rows["day"].max() == AS_OF - timedelta(days=1)


def test_scores_and_page(settings: Settings) -> None:
    ref = scoring.score(settings, DOMAIN, AS_OF)
    assert ref is not None
    rows = Lake(settings).read(DOMAIN.results_table, ref.version, {"as_of": [AS_OF]}).to_pandas()
    assert ((rows["low"] < rows["predicted"]) & (rows["predicted"] < rows["high"])).all()
    page = Lake(settings).path(scoring.write_report(settings, DOMAIN, AS_OF)).read_text()
    rmse = Registry(settings).get(MODEL).metrics["rmse"]
    assert f"{rmse:.2f} buyers" in page
    tiles = {label: value for value, label in re.findall(r'<strong class="">([^<]*)</strong><span>([^<]*)<', page)}
    assert tiles["visitors per day"] == f"{rows['visitors'].mean():.1f}"
    assert tiles["of the visitors buy"] == f"{100 * rows['buyers'].sum() / rows['visitors'].sum():.1f} %"
    for heading in (
        "What the days were like",
        "How often",
        "Buyers from visitors",
        "unseen days",
        "Whether a straight line is adequate",
    ):
        assert heading in page


def test_the_days_since_the_champion_was_made_are_watched(settings: Settings) -> None:
    champion = Registry(settings).get(MODEL)
    assert champion.provenance.as_of == AS_OF
    week, month = AS_OF + timedelta(days=7), AS_OF + timedelta(days=31)
    for day in (week, month, LATER):
        lifecycle.build_features(settings, DOMAIN, day)
    loaded = Registry(settings).load(MODEL)
    assert error_since(settings, loaded, week) is None, "a week says nothing"
    found = error_since(settings, loaded, month)
    assert found is not None
    assert (found.rows, found.expected) == (28, champion.metrics["rmse"])
    assert not found.column.drifted
    (early,) = watch(settings, month, [FOOTFALL_BUYERS])
    assert (early.verdict, early.retrain) == ("too few rows", False), "31 days are no distribution"
    (late,) = watch(settings, LATER, [FOOTFALL_BUYERS])
    assert late.verdict in ("drift", "no drift")
    rows = Lake(settings).read("drift", where={"as_of": [LATER]}).to_pandas().set_index("column")
    assert rows.loc["visitors", "reference_rows"] == (AS_OF - START).days
    assert rows.loc["visitors", "current_rows"] == (LATER - AS_OF).days
    assert rows.loc["rmse", "kind"] == "performance"


def test_a_door_that_counts_everybody_twice_is_noticed(settings: Settings) -> None:
    champion, lake = Registry(settings).get(MODEL), Lake(settings)
    results = []
    for day in (AS_OF + timedelta(days=59), AS_OF + timedelta(days=60)):
        lifecycle.build_features(settings, DOMAIN, day)
        known = lake.read(DOMAIN.features_table, where={"as_of": [day]})
        position = known.schema.get_field_index("visitors")
        counted_twice = known.set_column(position, "visitors", pa.compute.multiply(known["visitors"], 2.0))
        lake.replace(DOMAIN.features_table, {"as_of": [day]}, counted_twice)
        results += watch(settings, day, [FOOTFALL_BUYERS])
    first, second = results
    assert (first.verdict, first.retrain) == ("drift", False), "one check is not enough"
    assert (second.verdict, second.retrain) == ("drift", True)
    assert second.drifted == ("visitors", "prediction", "rmse")
    assert second.reason.startswith("typical error is")
    assert champion.version == second.model_version


def test_a_line_through_other_days_is_stopped(settings: Settings) -> None:
    """The gate measures the challenger's own predictions: a line that falls where buyers rise fails."""
    lifecycle.build_features(settings, DOMAIN, LATER)
    good = lifecycle.train(settings, spec_of(MODEL), LATER)
    registry = Registry(settings)
    loaded = registry.load(MODEL, good.version)
    days = load(Run(settings, LATER, loaded.version.provenance.tables))
    upside_down = days.assign(buyers=days["buyers"].max() - days["buyers"])
    worse = registry.log_challenger(
        MODEL,
        buyers.train(upside_down)[0],
        provenance=replace(loaded.version.provenance, code="upside down"),
        example=loaded.example,
        metrics={},
        artefacts=loaded.artefacts,
    )
    decision = lifecycle.gate(settings, spec_of(MODEL), worse.version)
    assert not decision.accepted
    assert any("baseline" in reason for reason in decision.reasons)


def test_without_anything_it_says_what_to_do(settings: Settings, home: Settings) -> None:
    assert scoring.score(home, DOMAIN, AS_OF) is None
    with pytest.raises(RefusedError, match="No day is known"):
        lifecycle.build_features(settings, DOMAIN, START)
    with pytest.raises(RefusedError, match="No day is scored"):
        scoring.write_report(settings, DOMAIN, date(2025, 2, 2))


def test_backtest(settings: Settings) -> None:
    result = backtest(settings)
    assert (result["folds"][0]["from"], result["folds"][0]["to"]) == ("2025-01-01", "2025-05-31")
    assert result["mean"]["rmse"] < 10


@pytest.mark.open_data
def test_the_open_file_from_end_to_end(open_data: Path, home: Settings) -> None:
    settings = home.model_copy(
        update={"sources": ROOT / "examples" / "open-data" / "sources.yaml", "data": str(open_data)}
    )
    settings = settings.model_copy(update={"expectations": ROOT / "expectations"})
    for delivery in ingestion.pending(settings, "footfall"):
        entry = ingestion.ingest(settings, delivery).entry
        assert (entry.read, entry.clean) == (30, 30)
    mean = backtest(settings)["mean"]
    assert (mean["rmse"], mean["r2"]) == pytest.approx((2.283, 0.231), abs=0.0005)
    assert mean["one_third_rmse"] == pytest.approx(2.9033, abs=0.00005)
    as_of = UNDATED_AS_OF
    lifecycle.build_features(settings, DOMAIN, as_of)
    trained = lifecycle.train(settings, spec_of(MODEL), as_of)
    assert lifecycle.gate(settings, spec_of(MODEL), trained.version).accepted
    lifecycle.promote(settings, MODEL, trained.version, by="test")
    assert scoring.score(settings, DOMAIN, as_of) is not None
    path = scoring.write_report(settings, DOMAIN, as_of)
    assert path == "reports/footfall/undated.html"
    page = Lake(settings).path(path).read_text()
    assert "30 days without a date" in page
    assert "1970" not in page
    assert Registry(settings).champion(MODEL).provenance.as_of == as_of  # type: ignore[union-attr]
    again = lifecycle.train(settings.model_copy(update={"seed": 8}), spec_of(MODEL), as_of)
    assert not lifecycle.gate(settings, spec_of(MODEL), again.version).accepted, "a tie keeps the champion"
    (watched,) = watch(settings, as_of, [FOOTFALL_BUYERS])
    assert (watched.verdict, watched.page) == (
        "nothing to compare yet",
        "reports/drift/footfall_buyers/undated.html",
    )
