"""What the nightly run does with footfall: features, predictions, page. What is common is in `pipeline.training`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import RefusedError
from pipeline.footfall.domain import DOMAIN
from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from datetime import date

    import pyarrow as pa

    from pipeline.settings import Settings
    from pipeline.training.spec import Champions, Run


def build_features(run: Run) -> pa.Table:
    """Return the days known as of a day, numbered.

    Raises:
        RefusedError: if none is known.
    """
    import pyarrow as pa

    from pipeline.footfall.features import footfall_features

    con, table = engine.connect(run.settings), DOMAIN.input_table
    days = engine.table(con, Lake(run.settings), table, run.tables.get(table), until=run.as_of)
    rows = con.to_pyarrow(footfall_features(days, run.as_of))
    if rows.num_rows == 0:
        raise RefusedError("No day is known", where=f"{table}, as of {run.as_of}", todo="ingest footfall first")
    return rows.append_column("number", pa.array(range(1, rows.num_rows + 1), pa.int64()))


def score(run: Run, champions: Champions) -> pa.Table:
    """Return the champion's prediction of each known day, with its interval.

    Raises:
        RefusedError: if the day's features are missing.
    """
    import pyarrow as pa

    from pipeline.footfall.buyers import FIT_FILE, MODEL, Fit
    from pipeline.footfall.features import FEATURE_COLUMNS
    from pipeline.footfall.specs import load

    champion, days = champions.load(MODEL), load(run)
    ends = Fit.from_record(champion.artefacts[FIT_FILE]).interval(days["visitors"].to_numpy())
    predicted = champion.model.predict(days[list(FEATURE_COLUMNS)])
    table = pa.Table.from_pandas(
        days.assign(as_of=run.as_of, predicted=predicted, low=ends[:, 0], high=ends[:, 1]), preserve_index=False
    )
    position = table.schema.get_field_index("day")
    return table.set_column(position, "day", table["day"].cast(pa.date32()))


def write_report(settings: Settings, as_of: date) -> str:
    """Write the footfall page of a day and return its path below home.

    Raises:
        RefusedError: if the day is not scored.
    """
    from pipeline.footfall.buyers import FIT_FILE, MODEL, Fit
    from pipeline.footfall.report import FootfallReport, write_footfall_report
    from pipeline.registry.client import Registry

    lake, registry, table = Lake(settings), Registry(settings), DOMAIN.results_table
    rows = lake.read(table, where={"as_of": [as_of]}).to_pandas() if lake.exists(table) else None
    if rows is None or rows.empty:
        raise RefusedError("No day is scored as of that day", where=table, todo="run aisle score footfall")
    version = int(rows["model_version"].iloc[0])
    fit = Fit.from_record(registry.artefacts(MODEL, version)[FIT_FILE])
    days = rows.sort_values("number", ignore_index=True)
    return write_footfall_report(lake, FootfallReport(as_of, registry.get(MODEL, version), fit, days))
