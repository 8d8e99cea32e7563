"""A simulated day's invoice lines as arrays of numbers: sales, later returns, and office bookings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.simulate.catalogue import NOTES, PRODUCTS, Catalogue
from pipeline.simulate.people import COUNTRIES, SEGMENTS, Floats, Ints, People, Segment
from pipeline.simulate.seasons import next_open

# One invoice line. `invoice` is a key within the day, `prefix` a position in PREFIXES, `item` and `text` positions in
# the catalogue, `customer` a customer number or GUEST, `country` a position in COUNTRIES.
LINE = np.dtype(
    [
        ("invoice", "i8"),
        ("prefix", "i1"),
        ("item", "i4"),
        ("text", "i4"),
        ("quantity", "i8"),
        ("minute", "i4"),
        ("price", "f8"),
        ("customer", "i8"),
        ("country", "i4"),
    ]
)
Lines = npt.NDArray[np.void]
PREFIXES = ("", "C", "A")  # sold, cancelled, written off
SOLD, CANCELLED, WRITTEN_OFF = range(3)
GUEST = -1
LONGEST_RETURN = 28  # days; a return due on a closed day moves to the next open one
LOOK_BACK = LONGEST_RETURN + 21  # a shop open one day a week may be closed on two of them in a row, at Christmas

_PACKS = np.array(  # order quantities
    [1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 36, 48, 72, 96, 144, 192, 288, 480, 720, 1440, 2880, 7200, 20_000]
)
_EIRE = COUNTRIES.index("EIRE")
_GUEST_VISITS = 0.47  # guest invoices a year for each customer of the shop
_GUEST_BASKET = 38.0  # mean lines of a guest invoice, which collects the orders of another sales channel
_ADJUSTMENTS = 0.28  # stock movements at price 0 a year for each customer
_MANUAL = 0.009  # share of invoices with a manual line
# Office bookings: code, prefix, lines a year for each customer, lines an open day, price (median and log sigma)
_OFFICE = (
    ("D", CANCELLED, 0.013, 0.0, 25.0, 1.2),
    ("M", CANCELLED, 0.050, 0.0, 15.0, 1.7),
    ("S", CANCELLED, 0.014, 0.0, 30.0, 0.8),
    ("BANK CHARGES", CANCELLED, 0.0, 0.12, 40.0, 1.4),
    ("AMAZONFEE", CANCELLED, 0.0, 0.11, 1500.0, 0.8),
    ("B", WRITTEN_OFF, 0.0, 0.01, 900.0, 0.8),
)


def lines(size: int, **columns: Any) -> Lines:
    """Make `size` lines with these columns; a scalar fills its column, other columns are 0."""
    out = np.zeros(size, dtype=LINE)
    for name, values in columns.items():
        out[name] = values
    return out


def sell(
    rng: np.random.Generator,
    day: date,
    busy: float,
    who: People,
    goods: Catalogue,
    customers: int,
    together: Callable[[Ints, Ints], Ints] | None = None,
) -> Lines:
    """Draw what customers and guests buy on a day, with postage and manual lines.

    `together` changes the products drawn, given them and the invoice of each, so that some lie in the same baskets.
    """
    today = day.toordinal()
    chance = who.visits / 365 * busy * np.where(who.weekday == day.weekday(), 2.2, 0.8)
    chance = np.where(who.segment == SEGMENTS.index(Segment.ONE_OFF), 1.0, chance)
    present = (rng.random(len(chance)) < chance) & (who.joined <= today) & (today < who.left)
    buyers = np.flatnonzero(present)
    guests = rng.poisson(_GUEST_VISITS / 365 * busy * customers)

    customer = np.concatenate([who.number[buyers], np.full(guests, GUEST)])
    basket = np.concatenate([who.basket[buyers], np.full(guests, _GUEST_BASKET)])
    units = np.concatenate([who.units[buyers], np.full(guests, 1.3)])
    country = np.concatenate([who.country[buyers], np.where(rng.random(guests) < 0.95, 0, _EIRE)])
    spread = np.where(customer == GUEST, 1.5, 0.85)
    hour = np.concatenate([who.hour[buyers], np.full(guests, 13.0)])
    count = len(customer)
    minute = np.clip(60 * (hour + rng.normal(0, 1.0, count)), 7 * 60, 20 * 60).astype(np.int64)
    size = np.clip(basket * np.exp(rng.normal(-(spread**2) / 2, spread)), 1, 1000).astype(np.int64)

    invoice = np.repeat(np.arange(count), size)
    total = len(invoice)
    item = np.searchsorted(goods.popularity, rng.random(total) * goods.popularity[-1])
    if together:
        item = together(item, invoice)
    listed = goods.prices[item]
    quantity = _quantities(rng, units[invoice], listed)
    # Guests buy through another channel, at a mark-up that is the same for all products.
    price = np.where(customer[invoice] == GUEST, listed * 1.6, listed)
    sold = lines(
        total,
        invoice=invoice,
        item=item,
        text=item + PRODUCTS * rng.choice(3, total, p=(0.985, 0.008, 0.007)),
        quantity=quantity,
        minute=minute[invoice],
        price=price.round(2),
        customer=customer[invoice],
        country=country[invoice],
    )
    head = lines(count, invoice=np.arange(count), minute=minute, customer=customer, country=country, quantity=1)
    return np.concatenate([sold, *_extras(rng, head, size, goods)])


def _quantities(rng: np.random.Generator, units: Floats, price: Floats) -> Ints:
    """Draw quantities in whole packs: fewer of expensive products, and rarely a very large order."""
    wanted = units * (price / 2.5) ** -0.35 * np.exp(1.2 * rng.standard_normal(len(units)))
    wanted = np.where(rng.random(len(units)) < 0.0015, wanted * (1 + rng.pareto(1.0, len(units))) * 8, wanted)
    return _PACKS[np.searchsorted(_PACKS, np.maximum(wanted, 1), side="right") - 1]


def _extras(rng: np.random.Generator, head: Lines, size: Ints, goods: Catalogue) -> list[Lines]:
    """Draw postage, carriage and manual lines as further lines of the invoices in `head`."""
    luck = rng.random((4, len(head)))
    factor = np.exp(rng.standard_normal(len(head)))
    guest, home = head["customer"] == GUEST, head["country"] == 0
    wanted = {
        "POST": (~guest & ~home & (luck[0] < 0.45), np.where(factor < 2, 18.0, 40.0)),
        "DOT": (guest & (size >= 10) & (luck[1] < 0.4), (130 * factor).round(2)),
        "C2": (~guest & home & (luck[2] < 0.006), np.full(len(head), 50.0)),
        "M": (luck[3] < _MANUAL, np.maximum(10 * factor**1.8, 0.01).round(2)),
    }
    extras = []
    for code, (mask, price) in wanted.items():
        part = head[mask]
        part["item"], part["text"] = goods.special(code)
        part["price"] = price[mask]
        extras.append(part)
    return extras


def plan_returns(
    rng: np.random.Generator, day: date, sold: Lines, who: People, closed: tuple[int, ...]
) -> dict[date, Lines]:
    """Draw the returns of the day's sales, by due day: negative quantity, same customer, same price."""
    candidates = sold[(sold["customer"] != GUEST) & (sold["item"] < PRODUCTS)]
    count = int(sold["invoice"].max()) + 1 if len(sold) else 0
    share = np.zeros(count)
    share[candidates["invoice"]] = who.returned[candidates["customer"] - who.number[0]]
    comes_back = rng.random(count) < share
    lag = np.minimum(rng.geometric(0.12, count), LONGEST_RETURN)
    first = np.ones(len(candidates), dtype=bool)
    first[1:] = candidates["invoice"][1:] != candidates["invoice"][:-1]
    chosen = comes_back[candidates["invoice"]] & (first | (rng.random(len(candidates)) < 0.09))
    part = rng.random(len(candidates))
    back = candidates[chosen]
    # Half of the returned lines are returned in full.
    back["quantity"] = -np.ceil(back["quantity"] * np.minimum(2 * part[chosen], 1)).astype(np.int64)
    back["prefix"], back["text"] = CANCELLED, back["item"]
    due = np.array([next_open(day + timedelta(days=int(n)), closed).toordinal() for n in range(LONGEST_RETURN + 1)])
    due_of_line = due[lag[candidates["invoice"][chosen]]]
    planned = {}
    for ordinal in np.unique(due_of_line).tolist():
        part_due = back[due_of_line == ordinal]
        # One credit note per customer and day, whenever the goods were bought.
        part_due["minute"] = 9 * 60 + (part_due["customer"] * 37 + ordinal * 11) % (8 * 60)
        part_due["invoice"] = 10**9 + part_due["customer"]
        planned[date.fromordinal(ordinal)] = part_due
    return planned


def book(rng: np.random.Generator, busy: float, sold: Lines, goods: Catalogue, customers: int) -> Lines:
    """Draw the office bookings of a day: stock movements at price 0, discounts, samples, fees, bad debt."""
    parts = []
    moves = rng.poisson(_ADJUSTMENTS / 365 * busy * customers)
    amount = np.ceil(np.exp(rng.normal(2.0, 1.7, moves))).astype(np.int64)
    item = rng.integers(0, PRODUCTS, moves)
    note = np.where(rng.random(moves) < 0.95, goods.notes_at + rng.integers(0, len(NOTES), moves), item)
    sign = np.where(rng.random(moves) < 0.53, -1, 1)
    parts.append(lines(moves, item=item, text=note, quantity=amount * sign, customer=GUEST))
    known = sold[sold["customer"] != GUEST]
    for code, prefix, for_each, a_day, median, sigma in _OFFICE:
        n = rng.poisson(for_each * customers * busy / 365 + a_day)
        item_at, text_at = goods.special(code)
        part = lines(n, item=item_at, text=text_at, quantity=1 if prefix == WRITTEN_OFF else -1, prefix=prefix)
        part["price"] = np.maximum(median * np.exp(sigma * rng.standard_normal(n)), 0.01).round(2)
        part["customer"] = GUEST
        if code in ("D", "M") and len(known):  # for a customer who bought that day
            part[["customer", "country"]] = rng.choice(known, n)[["customer", "country"]]
        parts.append(part)
    booked: Lines = np.concatenate(parts)
    booked["invoice"] = 2 * 10**9 + np.arange(len(booked))
    booked["minute"] = rng.integers(9 * 60, 18 * 60, len(booked))
    return booked
