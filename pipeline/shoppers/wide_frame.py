"""Feature rows in memory with one number per column: maps by brand become columns such as `prices:<brand>`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shoppers.features import BY_BRAND

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_BRAND = ""
"""In a frame, the brand of a visit without a purchase, and the last brand of a person without one."""
HOLDOUT_SHARE = 0.2
"""Fraction of the days that a backtest holds out."""


def frame(rows: pa.Table) -> pd.DataFrame:
    """Convert rows of `visit_features` or `shopper_features` to a wide frame, sorted by person and day."""
    wide = rows.drop_columns([name for name in BY_BRAND if name in rows.column_names])
    for name in BY_BRAND:
        for brand in brands_in(rows):
            wide = wide.append_column(f"{name}:{brand}", pc.map_lookup(rows[name], pa.scalar(brand), "first"))
    table: pd.DataFrame = wide.to_pandas()
    for name in ("brand", "last_brand"):
        if name in table:
            table[name] = table[name].astype("object").where(table[name].notna(), NO_BRAND).astype("str")
    day = "day" if "day" in table else "as_of"
    return table.sort_values(["person", day], ignore_index=True)


def brands_in(rows: pa.Table) -> list[str]:
    """Return the brands in the rows' maps, sorted."""
    if rows.num_rows == 0:
        return []
    keys = pa.chunked_array([chunk.keys for chunk in rows["prices"].chunks]).unique()
    return sorted(key for key in keys.to_pylist() if key is not None)


def brands_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the brands that a frame has columns for, sorted."""
    return tuple(sorted(name.removeprefix("prices:") for name in table.columns if name.startswith("prices:")))


def by_brand(table: pd.DataFrame, what: str, brands: Sequence[str]) -> NDArray[np.float64]:
    """Return one of the columns BY_BRAND as a matrix, (rows, brands); NaN for a brand without a column."""
    names = [f"{what}:{brand}" for brand in brands]
    return table.reindex(columns=names).to_numpy(dtype=np.float64)


def with_mean_shelf(table: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with `price` and `promotion` recomputed as means over the brands on the shelf."""
    brands = brands_of(table)
    prices, promotions = by_brand(table, "prices", brands), by_brand(table, "promotions", brands)
    on_shelf = np.isfinite(prices)
    count = np.maximum(on_shelf.sum(axis=1), 1)
    return table.assign(
        price=np.nansum(prices, axis=1) / count, promotion=np.nansum(promotions * on_shelf, axis=1) / count
    )


def split_at(table: pd.DataFrame, share: float = HOLDOUT_SHARE) -> pd.Timestamp:
    """Return the first day of the last `share` (a fraction) of the days that a frame spans."""
    days = pd.to_datetime(table["day"])
    span = (days.max() - days.min()).days + 1
    return pd.Timestamp(days.min() + pd.Timedelta(days=span - round(span * share)))


def earlier_later(table: pd.DataFrame, cut: pd.Timestamp) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a frame into the rows before a day and the rows from that day on."""
    before = pd.to_datetime(table["day"]) < cut
    return table[before].reset_index(drop=True), table[~before].reset_index(drop=True)
