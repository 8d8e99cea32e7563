"""An earlier forecast is compared with the sales of its days."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.stores.analysis.forecast_errors import errors_section
from tests.stores.analysis.made_forecast import AS_OF, make_forecast


def test_the_errors_are_those_of_the_open_days() -> None:
    earlier = make_forecast(stores=(1,)).assign(as_of=AS_OF, sales=[100.0] * 21 + [150.0] * 21)
    text = " ".join(errors_section(earlier).sentences)
    assert "The forecast made on 1 July 2024 for the 42 days" in text
    assert "was 4,620 in total. Actual sales were 5,250, so the forecast was 12.0 % below actual sales." in text
    assert "Of 42 open store days, 50.0 % lay within the 80 % interval and 50.0 % within the 95 % interval" in text
    rmspe = np.sqrt((0.1**2 + (110 / 150 - 1) ** 2) / 2)
    assert f"with large errors counting more, {100 * rmspe:.1f} %" in text


def test_days_without_actual_sales_do_not_count() -> None:
    earlier = make_forecast(stores=(1,)).assign(as_of=AS_OF, sales=[100.0] * 21 + [np.nan] * 21)
    text = " ".join(errors_section(earlier).sentences)
    assert "for the 21 days" in text
    assert "was 2,310 in total. Actual sales were 2,100" in text


def test_without_an_earlier_forecast_and_without_open_days_it_says_so() -> None:
    assert errors_section(pd.DataFrame()).sentences == ["There are no sales yet for the days of an earlier forecast."]
    closed = make_forecast(0.0).assign(as_of=AS_OF, sales=0.0)
    sentences = errors_section(closed).sentences
    assert "No store sold anything on those days." in sentences
    assert sentences[0].endswith("Actual sales were 0.")
