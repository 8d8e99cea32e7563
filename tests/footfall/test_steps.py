"""Footfall from deliveries to the page, with days and without."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.dates import UNDATED_AS_OF
from pipeline.errors import RefusedError
from pipeline.footfall import steps
from pipeline.footfall.monitoring import MONITORED, error_since
from pipeline.ingestion import steps as ingestion
from pipeline.lake.tables import Lake
from pipeline.monitoring.watch import watch
from pipeline.registry.client import Registry
from pipeline.settings import Settings
from pipeline.training.lifecycle import promote

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
    steps.build_features(made, AS_OF)
    trained = steps.train(made, steps.MODEL, AS_OF)
    assert steps.gate(made, steps.MODEL, trained.version).accepted
    promote(made, steps.MODEL, trained.version, by="test")
    return made


def test_features_know_the_days_before(settings: Settings) -> None:
    rows = Lake(settings).read(steps.FEATURES_TABLE, where={"as_of": [AS_OF]}).to_pandas()
    assert len(rows) == (AS_OF - START).days
    assert rows["day"].max() == AS_OF - timedelta(days=1)


def test_scores_and_page(settings: Settings) -> None:
    ref = steps.score(settings, AS_OF)
    assert ref is not None
    rows = Lake(settings).read(steps.SCORES_TABLE, ref.version, {"as_of": [AS_OF]}).to_pandas()
    assert ((rows["low"] < rows["predicted"]) & (rows["predicted"] < rows["high"])).all()
    page = Lake(settings).path(steps.write_report(settings, AS_OF)).read_text()
    rmse = Registry(settings).get(steps.MODEL).metrics["rmse"]
    assert f"{rmse:.3f}" in page
    for heading in (
        "What the days were like",
        "How often",
        "Buyers from visitors",
        "unseen days",
        "Whether a straight line is adequate",
    ):
        assert heading in page


def test_the_days_since_the_champion_was_made_are_watched(settings: Settings) -> None:
    champion = Registry(settings).get(steps.MODEL)
    assert champion.provenance.as_of == AS_OF
    week, month = AS_OF + timedelta(days=7), AS_OF + timedelta(days=31)
    for day in (week, month, LATER):
        steps.build_features(settings, day)
    assert error_since(settings, champion, week) is None, "a week says nothing"
    found = error_since(settings, champion, month)
    assert found is not None
    assert (found.rows, found.expected) == (28, champion.metrics["rmse"])
    assert not found.column.drifted
    (early,) = watch(settings, month, MONITORED)
    assert (early.verdict, early.retrain) == ("too few rows", False), "31 days are no distribution"
    (late,) = watch(settings, LATER, MONITORED)
    assert late.verdict in ("drift", "no drift")
    rows = Lake(settings).read("drift", where={"checked_on": [LATER]}).to_pandas().set_index("column")
    assert rows.loc["visitors", "reference_rows"] == (AS_OF - START).days
    assert rows.loc["visitors", "current_rows"] == (LATER - AS_OF).days
    assert rows.loc["rmse", "kind"] == "performance"


def test_a_door_that_counts_otherwise_is_noticed(settings: Settings) -> None:
    champion, lake = Registry(settings).get(steps.MODEL), Lake(settings)
    day = AS_OF + timedelta(days=60)
    steps.build_features(settings, day)
    known = lake.read(steps.FEATURES_TABLE, where={"as_of": [day]})
    at = known.schema.get_field_index("visitors")
    counted_twice = known.set_column(at, "visitors", pa.compute.multiply(known["visitors"], 2.0))
    lake.replace(steps.FEATURES_TABLE, {"as_of": [day]}, counted_twice)
    (result,) = watch(settings, day, MONITORED)
    assert (result.verdict, result.retrain) == ("drift", True)
    assert result.drifted == ("visitors", "prediction", "rmse")
    assert result.reason.startswith("rmse is")
    assert champion.version == result.model_version


def test_a_line_from_other_days_is_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate asks about days that the champion has not seen; a challenger that guesses the mean fails."""
    from pipeline.footfall import buyers

    steps.build_features(settings, LATER)
    trained = steps.train(settings, steps.MODEL, LATER)
    with monkeypatch.context() as patch:
        patch.setattr(buyers, "leave_one_out", lambda days: days["buyers"].to_numpy()[::-1])
        decision = steps.gate(settings, steps.MODEL, trained.version)
    assert not decision.accepted
    assert any("baseline" in reason for reason in decision.reasons)


def test_without_anything_it_says_what_to_do(settings: Settings, home: Settings) -> None:
    assert steps.score(home, AS_OF) is None
    with pytest.raises(RefusedError, match="No day is known"):
        steps.build_features(settings, START)
    with pytest.raises(RefusedError, match="No day is scored"):
        steps.write_report(settings, date(2025, 2, 2))


def test_backtest(settings: Settings) -> None:
    result = steps.backtest(settings, steps.MODEL)
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
    mean = steps.backtest(settings, steps.MODEL)["mean"]
    assert (mean["rmse"], mean["r2"]) == pytest.approx((2.283, 0.231), abs=0.0005)
    assert mean["one_third_rmse"] == pytest.approx(2.9033, abs=0.00005)
    as_of = UNDATED_AS_OF
    steps.build_features(settings, as_of)
    trained = steps.train(settings, steps.MODEL, as_of)
    assert steps.gate(settings, steps.MODEL, trained.version).accepted
    promote(settings, steps.MODEL, trained.version, by="test")
    assert steps.score(settings, as_of) is not None
    path = steps.write_report(settings, as_of)
    assert path == "reports/footfall/undated.html"
    page = Lake(settings).path(path).read_text()
    assert "30 days without a date" in page
    assert "1970" not in page
    assert Registry(settings).champion(steps.MODEL).provenance.as_of == as_of  # type: ignore[union-attr]
    again = steps.train(settings.model_copy(update={"seed": 8}), steps.MODEL, as_of)
    assert not steps.gate(settings, steps.MODEL, again.version).accepted, "a tie keeps the champion"
    (watched,) = watch(settings, as_of, MONITORED)
    assert (watched.verdict, watched.page) == ("too few rows", "reports/drift/footfall_buyers/undated.html")
