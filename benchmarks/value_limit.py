"""How well any model could rank customers by the revenue of the next 92 days: the limit of expected value's data.

    AISLE_HOME=… python -m benchmarks.value_limit [--day 2011-09-09]

On the transactions of a home it prints rank correlations (Spearman) with the actual revenue net of returns, over all
customers who bought something in the window, those who bought nothing in the horizon included:

- of `customer_value` as it is trained, and of a model that is trained to predict the rank itself;
- of models that are fitted on the outcomes of these very days, each customer's by the other nine tenths of customers:
  no model trained on earlier days can be expected to do better with the same inputs. Once with the model's inputs, and
  once with purchases and revenue by month, the products bought, prices, quantities and the country beside them;
- of `customer_value` if every one of its expectations was exactly right: outcomes are drawn from its own distributions.
"""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import rankdata, spearmanr
from sklearn.decomposition import TruncatedSVD
from sklearn.model_selection import KFold

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN
from pipeline.customers.features import MONTH_DAYS
from pipeline.customers.value.history import read_windows
from pipeline.customers.value.model import COLUMNS, PARAMETERS, CustomerValue, ValueWindow, fit_value
from pipeline.lake.tables import Lake
from pipeline.settings import load_settings
from pipeline.training.spec import Run

ROUNDS, FOLDS, DRAWS, FACTORS = 150, 10, 200, 20


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--day", type=dt.date.fromisoformat, default=dt.date(2011, 9, 9))
    day = args.parse_args().day
    settings = load_settings()
    run = Run(settings, day, {DOMAIN.input_table: Lake(settings).version(DOMAIN.input_table)})
    con, transactions = transactions_of(run)
    data = read_windows(con, transactions, day, settings)
    newest, model = data.newest, fit_value(data.earlier, settings.seed)
    expected = model.expect(newest.features, newest.season)
    inputs = newest.features[list(COLUMNS)].to_numpy(dtype=np.float64)
    more = np.hstack([inputs, further_inputs(con, transactions, newest)])
    often = (newest.features["invoices"] >= 2).to_numpy()
    bought = newest.revenue > 0
    print(f"{len(newest.revenue):,} customers from {day}, {bought.mean():.1%} bought something in the horizon")
    show("customer_value", expected["revenue"], newest.revenue)
    show(f"… of the {often.sum():,} with two invoices or more", expected["revenue"][often], newest.revenue[often])
    show(f"… of the {bought.sum():,} who bought", expected["revenue"][bought], newest.revenue[bought])
    show("trained to predict the rank", of_ranks(data.earlier).predict(inputs), newest.revenue)
    show("fitted on these days, the model's inputs", fitted_on_the_truth(inputs, newest.revenue), newest.revenue)
    show(f"fitted on these days, {more.shape[1]} inputs", fitted_on_the_truth(more, newest.revenue), newest.revenue)
    low, mean, high = if_it_was_right(model, expected)
    print(f"{'customer_value, if it was exactly right':48s}{mean:6.3f}   (95 % of draws: {low:.3f} to {high:.3f})")


def show(name: str, predicted: Any, actual: Any) -> None:
    """Print a rank correlation."""
    print(f"{name:48s}{spearmanr(predicted, actual)[0]:6.3f}", flush=True)


def of_ranks(windows: tuple[ValueWindow, ...]) -> lightgbm.Booster:
    """A model of the rank of revenue within its window, which is what the rank correlation asks for."""
    inputs = np.concatenate([window.features[list(COLUMNS)].to_numpy(dtype=np.float64) for window in windows])
    return booster(inputs, np.concatenate([rankdata(window.revenue) / len(window.revenue) for window in windows]))


def fitted_on_the_truth(inputs: np.ndarray, revenue: np.ndarray) -> np.ndarray:
    """Each customer's expected rank, by a model fitted on the outcomes of the other nine tenths of the customers."""
    ranks, predicted = rankdata(revenue) / len(revenue), np.zeros(len(revenue))
    for others, own in KFold(FOLDS, shuffle=True, random_state=7).split(inputs):
        predicted[own] = booster(inputs[others], ranks[others], min_data_in_leaf=40).predict(inputs[own])
    return predicted


def booster(inputs: np.ndarray, target: np.ndarray, **parameters: int) -> lightgbm.Booster:
    """The house's parameters, with a squared loss."""
    chosen = PARAMETERS | {"objective": "regression", "seed": 7} | parameters
    return lightgbm.train(chosen, lightgbm.Dataset(inputs, target), ROUNDS)


def if_it_was_right(model: CustomerValue, expected: pd.DataFrame) -> tuple[float, float, float]:
    """2.5 %, mean and 97.5 % of the rank correlation with outcomes drawn from the model's own distributions."""
    rng, chance = np.random.default_rng(7), expected["purchase_chance"].to_numpy()
    log_amount = np.log(expected["revenue"].to_numpy() / chance / model.mean_ratio)
    found = []
    for _ in range(DRAWS):
        amount = np.exp(log_amount + model.spread * rng.standard_normal(len(chance)))
        found.append(spearmanr(expected["revenue"], np.where(rng.random(len(chance)) < chance, amount, 0))[0])
    return float(np.quantile(found, 0.025)), float(np.mean(found)), float(np.quantile(found, 0.975))


def further_inputs(con: Any, transactions: Any, window: ValueWindow) -> np.ndarray:
    """Revenue and invoices by month, products bought (singular vectors), prices, quantities, and the country."""
    t, ids = transactions, window.features["customer_id"]
    sold = t.filter(t.is_product, t.customer_id.notnull(), t.kind == "sale", t.invoiced_at < pd.Timestamp(window.as_of))
    lines = con.to_pandas(sold)
    lines["amount"] = lines["quantity"] * lines["unit_price"].astype("float64")
    lines["month"] = (pd.Timestamp(window.as_of) - lines["invoiced_at"]).dt.days // MONTH_DAYS
    by_month = {"index": "customer_id", "columns": "month", "fill_value": 0}
    revenue = lines.pivot_table(values="amount", aggfunc="sum", **by_month)
    invoices = lines.drop_duplicates(["customer_id", "invoice"]).pivot_table(
        values="invoice", aggfunc="count", **by_month
    )
    other = lines.groupby("customer_id").agg(
        price=("unit_price", "median"), quantity=("quantity", "median"), largest=("amount", "max"),
        abroad=("country", lambda country: float(country.iloc[0] != "United Kingdom")),
    )  # fmt: skip
    customer, product = pd.Categorical(lines["customer_id"], categories=ids), pd.Categorical(lines["stock_code"])
    counts = sp.csr_matrix((np.ones(len(lines)), (customer.codes, product.codes)))
    vectors = TruncatedSVD(FACTORS, random_state=7).fit_transform(counts.log1p())
    return np.hstack(
        [*(part.reindex(ids).fillna(0).to_numpy(np.float64) for part in (revenue, invoices, other)), vectors]
    )


if __name__ == "__main__":
    main()
