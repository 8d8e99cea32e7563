"""Implicit ALS beside the recommenders of the house, on the days of `aisle backtest recommendations`.

    python -m pip install --no-deps --target /tmp/als implicit
    AISLE_HOME=… PYTHONPATH=/tmp/als python -m benchmarks.als [--factors 64]

Alternating least squares on counts of purchases (Hu, Koren & Volinsky 2008), of the library `implicit`, which is not
among the requirements: see docs/customers.md. It prints hit rate, recall, NDCG and coverage for all products and for
new ones, and seconds.
"""

from __future__ import annotations

import argparse
import datetime as dt
from time import perf_counter

import numpy as np
from implicit.als import AlternatingLeastSquares  # type: ignore[import-not-found]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.customers.clean_lines import transactions_of
from pipeline.customers.domain import DOMAIN
from pipeline.customers.recommendations.evaluation import HORIZON, K, metrics_of
from pipeline.customers.recommendations.methods import TOP, Candidates, Scorer, linear_autoencoder, recommend
from pipeline.customers.recommendations.past import Past, bought_since, past_of
from pipeline.lake.tables import Lake
from pipeline.settings import load_settings
from pipeline.training.spec import Run

DAYS = (dt.date(2011, 7, 9), dt.date(2011, 8, 9), dt.date(2011, 9, 9), dt.date(2011, 11, 9))
METRICS = ("hit_rate", "recall", "ndcg", "coverage")


def als(past: Past, factors: int) -> Scorer:
    """A recommender of the one interface: the products with the highest product of factors, bought ones included."""
    model = AlternatingLeastSquares(
        factors=factors, regularization=0.05, alpha=10, iterations=20, random_state=7, num_threads=1
    )
    bought = past.matrix()
    with threadpool_limits(1):
        model.fit(bought, show_progress=False)

    def scorer(first: int, last: int) -> Candidates:
        customers = np.arange(first, last)
        products, scores = model.recommend(
            customers, bought[first:last], N=min(2 * TOP, len(past.products)), filter_already_liked_items=False
        )
        whose = np.repeat(customers, products.shape[1])
        return Candidates(whose, products.ravel().astype(np.int64), scores.ravel().astype(np.float64))

    return scorer


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--factors", type=int, default=64)
    factors = args.parse_args().factors
    settings = load_settings()
    for day in DAYS:
        run = Run(settings, day, {DOMAIN.input_table: Lake(settings).version(DOMAIN.input_table)})
        con, transactions = transactions_of(run)
        past = past_of(con, transactions, day, window_days=settings.window_days)
        bought = bought_since(con, transactions, past, day + HORIZON)
        for name, learn in ((f"ALS-{factors}", lambda past: als(past, factors)), ("EASE", linear_autoencoder)):
            began = perf_counter()
            found = metrics_of(past, recommend(past, learn(past), ("all", "new"), K), bought)
            figures = (found[f"{which}{metric}"] for which in ("", "new_") for metric in METRICS)
            seconds = perf_counter() - began
            print(
                f"{day} {name:8s}" + " ".join(f"{figure:.3f}" for figure in figures) + f"  {seconds:.1f} s", flush=True
            )


if __name__ == "__main__":
    main()
