"""The linear models: a single outlier hardly moves them, and does not enter the levels of its store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from pipeline.stores.features import feature_rows, planned_days
from pipeline.stores.grids import BLOCK_DAYS
from pipeline.stores.linear_design import DESIGN_COLUMNS
from pipeline.stores.ridge import fit_ridge, fit_ridge_at_end
from pipeline.stores.state import store_state
from tests.stores.helpers import AS_OF, plain_days, plain_stores, tables

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

COUNT, STORE = 8, 2
OUTLIER_DAY = pd.Timestamp("2024-06-27")


def features(con: Backend, factor: float) -> pd.DataFrame:
    """Return the planned features of a store whose sales on `OUTLIER_DAY` are multiplied by a factor."""
    days = plain_days(COUNT)
    outlier = (days["store"] == STORE) & (days["day"] == OUTLIER_DAY)
    changed = days.assign(sales=days["sales"] * np.where(outlier, factor, 1))
    state = store_state(con, *tables(con, changed, plain_stores(COUNT)), AS_OF)
    rows = feature_rows(state, planned_days(state))
    return rows[rows["store"] == STORE].reset_index(drop=True)


@pytest.mark.parametrize("factor", [20.0, 0.05])
def test_an_outlier_hardly_moves_the_linear_forecast_and_no_level(con: Backend, factor: float) -> None:
    normal, changed = features(con, 1.0), features(con, factor)
    np.testing.assert_allclose(changed["linear"], normal["linear"], atol=0.05)
    # Undetected, the outlier moves the forecast by 0.22 and the level, a mean over twelve open days, by 0.16.
    np.testing.assert_allclose(changed["level_14"], normal["level_14"], atol=0.02)


def test_the_fit_at_the_end_of_history_is_that_of_the_pass_over_it() -> None:
    rng = np.random.default_rng(5)
    stores, days = 5, 40 * BLOCK_DAYS
    design = rng.normal(size=(stores, days, len(DESIGN_COLUMNS))).astype(np.float32)
    design[..., 0] = 1
    logs = 8.5 + 0.1 * np.arange(stores)[:, None] + 0.1 * design[..., 3] + rng.normal(0, 0.1, (stores, days))
    logs[:, ::7] = np.nan
    logs[4] = np.nan  # a store without sales has the shared effects
    regular = rng.random((stores, days)) > 0.02
    (passed,) = fit_ridge(design, logs, regular, [0], (250, 800)).values()
    at_end = fit_ridge_at_end(design, logs, regular, (250, 800))
    for found, expected in zip(vars(at_end).values(), vars(passed).values(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert at_end.means[0, :4] == pytest.approx(8.5 + 0.1 * np.arange(4), abs=0.05)
    assert at_end.scales[:4] == pytest.approx(np.full(4, 0.1), rel=0.15)
