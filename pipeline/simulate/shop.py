"""The simulated shop: its invoice lines day by day, and the true attributes of its customers."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.simulate.affinities import pair_up, partners
from pipeline.simulate.catalogue import catalogue
from pipeline.simulate.drift import Drift
from pipeline.simulate.invoices import GUEST, LINE, LOOK_BACK, PREFIXES, Lines, book, plan_returns, sell
from pipeline.simulate.people import COUNTRIES, NEVER, SEGMENTS, Ints, People, Segment, cohorts_by, people
from pipeline.simulate.seasons import is_open, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = pa.schema(
    [
        ("InvoiceNo", pa.string()),
        ("StockCode", pa.string()),
        ("Description", pa.string()),
        ("Quantity", pa.int64()),
        ("InvoiceDate", pa.timestamp("us")),
        ("UnitPrice", pa.float64()),
        ("CustomerID", pa.string()),
        ("Country", pa.string()),
    ]
)
FIRST_INVOICE = 500_000


@dataclass(frozen=True)
class Shop:
    """The simulated shop.

    The lines of a day depend on these values and the day only, never on which other days are requested.

    Attributes:
        seed: random seed.
        customers: number of customers of the opening year; 900 make about 55,000 lines a year, in proportion.
        opened: the first day with lines.
        closed: weekdays (0 = Monday) on which it never opens.
        drift: what changes from a day on.
        affinities: share of the lines that are the partner of the line before (see `simulate.affinities`).
        distinct: whether a year of purchases tells the kinds of customers apart; else their habits overlap.
    """

    seed: int = 7
    customers: int = 900
    opened: date = date(2024, 1, 1)
    closed: tuple[int, ...] = (5,)
    drift: Drift | None = None
    affinities: float = 0.0
    distinct: bool = False

    def __post_init__(self) -> None:
        for name, observed, good, allowed in (
            ("seed", self.seed, self.seed >= 0, "0 or more"),
            ("customers", self.customers, 50 <= self.customers <= 10_000_000, "50 to 10000000"),
            ("opened", self.opened, date(1950, 1, 1) <= self.opened <= date(2200, 1, 1), "a day from 1950 to 2200"),
            ("affinities", self.affinities, 0 <= self.affinities <= 1, "a share from 0 to 1"),
            ("closed", self.closed, set(self.closed) < set(range(7)), "weekdays 0 (Monday) to 6, not all of them"),
        ):
            if not good:
                raise UsageError("The shop cannot be simulated", where=name, observed=observed, allowed=allowed)

    @classmethod
    def from_uri(cls, uri: str) -> Shop:
        """Make the shop of an address such as `simulate://shop?seed=7&customers=900&drift_from=2026-01-01&drift_prices=1.6`.

        Raises:
            UsageError: listing every option that is unknown, unreadable or given twice.
        """
        parts = urlsplit(uri)
        if (parts.scheme, parts.netloc, parts.path.strip("/")) != ("simulate", "shop", ""):
            raise UsageError(
                "This is not the address of the simulated shop", observed=uri, allowed="simulate://shop?seed=7&…"
            )
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        values: dict[str, Any] = {}
        faults = []
        for name, text in pairs:
            if name not in _OPTIONS:
                faults.append(f"{name}: unknown option")
            elif name in values:
                faults.append(f"{name}: given twice")
            else:
                try:
                    values[name] = _OPTIONS[name](text)
                except ValueError:
                    faults.append(f"{name}: cannot read {text!r}")
        drift = {name.removeprefix("drift_"): values.pop(name) for name in tuple(values) if name.startswith("drift_")}
        if drift and "from" not in drift and not faults:
            faults.append("drift_from: missing, the first day of the drift")
        if faults:
            allowed = ", ".join(sorted(_OPTIONS)) + f"; drift_stops is one of {', '.join(Segment)}"
            raise UsageError(
                "The simulated shop's address is wrong", where=uri, observed="; ".join(faults), allowed=allowed
            )
        return cls(**values, drift=Drift(since=drift.pop("from"), **drift) if drift else None)

    def is_open(self, day: date) -> bool:
        """Whether the shop sells anything on a day."""
        return day >= self.opened and is_open(day, self.closed)

    def days(self, start: date, end: date) -> Iterator[tuple[date, pa.Table]]:
        """Simulate the days of `[start, end)`, each with its lines in the order of their time."""
        goods = catalogue(self.seed)
        due: defaultdict[date, list[Lines]] = defaultdict(list)
        # Returns stem from sales of the days before, so those are simulated first.
        day = max(self.opened, start - timedelta(days=LOOK_BACK))
        while day < end:
            seeds = np.random.SeedSequence(self.seed, spawn_key=(2, day.toordinal())).spawn(4)
            sales, returns, office, pairs = (np.random.default_rng(s) for s in seeds)
            busy = weight(day, self.closed)
            lines = np.zeros(0, dtype=LINE)
            if busy:
                who = self._people(day)
                # A drift changes values after they are drawn, so that all other random draws stay the same.
                drift = self.drift if self.drift and self.drift.since <= day else Drift(since=day)
                together = self._together(pairs)
                sold = drift.change(sell(sales, day, busy, who, goods, self.customers, together), who)
                for due_day, returned in plan_returns(returns, day, sold, who, self.closed).items():
                    due[due_day].append(drift.without_stopped(returned, who))
                if day >= start:
                    booked = book(office, busy, sold, goods, self.customers)
                    lines = drift.without_stopped(np.concatenate([sold, booked]), who)
                    lines = np.concatenate([lines, *due.pop(day, [])])
            if day >= start:
                yield day, self._table(day, lines)
            day += timedelta(days=1)

    def lines(self, start: date, end: date) -> pa.Table:
        """The lines of `[start, end)` with the columns of SCHEMA; no rows where the shop is closed or not yet open."""
        return pa.concat_tables([SCHEMA.empty_table(), *(table for _, table in self.days(start, end))]).combine_chunks()

    def _together(self, rng: np.random.Generator) -> Callable[[Ints, Ints], Ints] | None:
        if not self.affinities:
            return None
        return partial(pair_up, rng, partner=partners(self.seed), share=self.affinities)

    def _people(self, day: date) -> People:
        """The customers of the yearly cohorts that have started by a day."""
        cohorts = cohorts_by(self.opened, day)
        return people(self.seed, self.customers, self.opened, self.closed, cohorts, self.distinct)

    def partners(self) -> dict[str, str]:
        """The stock code of each product, and that of the product that goes with it where affinities are planted."""
        codes = catalogue(self.seed).codes.to_pylist()
        return {codes[at]: codes[partner] for at, partner in enumerate(partners(self.seed).tolist())}

    def truth(self, until: date | None = None) -> pd.DataFrame:
        """The true attributes of the customers who join before `until` (None: within ten years of the opening).

        Returns:
            One row a customer: customer_id str, segment str (of Segment), joined and left datetime64 (the first day,
            and the day from which the customer buys nothing; missing: never), visits float64 (expected invoices a
            year, 0 for one-offs), country str.
        """
        until = until or self.opened + timedelta(days=3650)
        who = self._people(max(until, self.opened))
        epoch = date(1970, 1, 1).toordinal()
        left = (np.where(who.left == NEVER, epoch, who.left) - epoch).astype("datetime64[D]")
        frame = pd.DataFrame(
            {
                "customer_id": who.number.astype(str),
                "segment": np.array(SEGMENTS, dtype=object)[who.segment].astype(str),
                "joined": (who.joined - epoch).astype("datetime64[D]").astype("datetime64[s]"),
                "left": pd.Series(left.astype("datetime64[s]")).where(who.left != NEVER),
                "visits": who.visits,
                "country": np.array(COUNTRIES)[who.country],
            }
        )
        return frame[who.joined < until.toordinal()].reset_index(drop=True)

    def _table(self, day: date, lines: Lines) -> pa.Table:
        """Convert lines to the source's columns, with invoices numbered in the order of their time."""
        goods = catalogue(self.seed)
        lines = lines[np.lexsort((lines["invoice"], lines["minute"]))]
        new = np.ones(len(lines), dtype=np.int64)
        new[1:] = lines["invoice"][1:] != lines["invoice"][:-1]
        # Each day has a block of numbers larger than a day's invoices, so that days do not depend on each other.
        block = max(1_000, 10 ** len(str(self.customers // 10)))
        number = FIRST_INVOICE + (day - self.opened).days * block + np.cumsum(new) - 1
        customer = pa.array(lines["customer"], mask=lines["customer"] == GUEST)
        midnight = np.datetime64(day, "us")
        columns = [
            pc.binary_join_element_wise(
                pa.array(PREFIXES).take(pa.array(lines["prefix"])), pa.array(number).cast(pa.string()), ""
            ),
            goods.codes.take(pa.array(lines["item"])),
            goods.texts.take(pa.array(lines["text"])),
            pa.array(lines["quantity"]),
            pa.array(midnight + lines["minute"].astype("timedelta64[m]")),
            pa.array(lines["price"]),
            customer.cast(pa.string()),
            pa.array(COUNTRIES).take(pa.array(lines["country"])),
        ]
        return pa.Table.from_arrays(columns, schema=SCHEMA)


def _weekdays(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError
    return text == "1"


_OPTIONS: dict[str, Callable[[str], Any]] = {
    "seed": int,
    "customers": int,
    "opened": date.fromisoformat,
    "closed": _weekdays,
    "affinities": float,
    "distinct": _flag,
    "drift_from": date.fromisoformat,
    "drift_prices": float,
    "drift_baskets": float,
    "drift_stops": Segment,
    "drift_countries": float,
}
