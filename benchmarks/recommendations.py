"""Seconds and memory of recommendations for a made-up shop of any size.

python -m benchmarks.recommendations [--customers 100000] [--products 20000] [--bought 30] [--scored N]

Purchases are drawn (popularity falls as 1 / rank), so figures of quality would mean nothing here: those are given by
`aisle backtest recommendations`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import resource
import sys
import time
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from pipeline.customers.recommendations.blend import Blend, fit_booster
from pipeline.customers.recommendations.evaluation import K
from pipeline.customers.recommendations.methods import recommend
from pipeline.customers.recommendations.nightly import goes_with
from pipeline.customers.recommendations.past import RECENT_DAYS, Past

SEED = 7
FITTED_CUSTOMERS = 3_000
"""Customers of the window that the blend is fitted on: its size, not the shop's, decides how long a fit takes."""


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--customers", type=int, default=100_000)
    args.add_argument("--products", type=int, default=20_000)
    args.add_argument("--bought", type=int, default=30, help="mean number of products of a customer")
    args.add_argument(
        "--scored", type=int, help="customers who get lists, which take as long as there are; all of them"
    )
    opts = args.parse_args()
    rng = np.random.default_rng(SEED)
    small = drawn(rng, FITTED_CUSTOMERS, opts.products, opts.bought)
    truth = sp.random(FITTED_CUSTOMERS, opts.products, 5 / opts.products, "csr", np.float32, rng)
    truth.data[:] = 1
    booster = timed("fit", lambda: fit_booster([(small, truth)], seed=SEED, threads=1))
    past = timed("draw the past", lambda: drawn(rng, opts.customers, opts.products, opts.bought))
    print(f"{len(past.customers):,} customers, {len(past.products):,} products, {len(past.product):,} pairs")
    scorer = timed("learn similarities", lambda: Blend.scorer_of(booster, past, 1))
    scored = replace(past, customers=past.customers[: opts.scored])
    timed(f"three lists for {len(scored.customers):,}", lambda: recommend(scored, scorer, ("all", "again", "new"), K))
    timed("goes with", lambda: goes_with(past))


def timed(name: str, work):  # type: ignore[no-untyped-def]
    """Run a step; print its seconds, its processor seconds and the peak memory so far."""
    started, busy = time.perf_counter(), time.process_time()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    seconds, processor = time.perf_counter() - started, time.process_time() - busy
    print(f"{name:32s}{seconds:8.1f} s {processor:8.1f} s of processor {peak:8,.0f} MB", flush=True)
    return result


def drawn(rng: np.random.Generator, customers: int, products: int, bought: int) -> Past:
    """A past with purchases that are drawn."""
    popularity = 1 / np.arange(1, products + 1)
    count = customers * bought
    key = np.unique(
        rng.integers(0, customers, count) * np.int64(products)
        + np.searchsorted(np.cumsum(popularity) / popularity.sum(), rng.random(count))
    )
    customer, product = (key // products).astype(np.int32), (key % products).astype(np.int32)
    known, customer = np.unique(customer, return_inverse=True)
    last = rng.integers(1, 365, len(key)).astype(np.float32)
    purchases = rng.geometric(0.7, len(key)).astype(np.float32)
    pairs = {
        "purchases": purchases,
        "last_days": last,
        "first_days": np.minimum(last + 30 * (purchases - 1), 365),
        "decayed": purchases * np.exp(-last / 60),
        "price": np.full(len(key), 2.5, dtype=np.float32),
        **{f"recent_{days}": (last <= days).astype(np.float32) for days in RECENT_DAYS},
    }
    starts = np.searchsorted(customer, np.arange(len(known)))
    baskets = sp.csr_matrix((np.ones(len(key), dtype=np.float32), (customer, product)), (len(known), products))
    return Past(
        as_of=dt.date(2025, 1, 1),
        customers=np.char.zfill(known.astype(str), 8),
        products=np.char.zfill(np.arange(products).astype(str), 6),
        customer=customer.astype(np.int32),
        product=product,
        pairs=pairs,
        invoices=np.maximum.reduceat(purchases, starts) + 2,
        last_days=np.minimum.reduceat(last, starts),
        first_days=np.maximum.reduceat(pairs["first_days"], starts),
        baskets=baskets,
    )


if __name__ == "__main__":
    main()
