"""The baseline of expected value: BG/NBD for purchases and Gamma-Gamma for their value, by maximum likelihood.

Fader, Hardie & Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD Model", Marketing
Science 24 (2); Fader & Hardie (2013), "The Gamma-Gamma Model of Monetary Value". A customer buys at a rate of their own
and leaves after a purchase with a probability of their own; there is no season in it.

Written here because no well-kept light library fits: `lifetimes` is archived, `btyd` needs numpy below 2, and
`pymc-marketing` brings a sampler for four numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Visits:
    """What the baseline knows of each customer; several invoices of a day are one purchase.

    Attributes:
        repeats: (customers,), purchases after the first.
        last: days from the first purchase to the last; 0 for a single one.
        age: days from the first purchase to the as-of day.
        value: mean money of the repeats; 0 without any.
    """

    repeats: Array
    last: Array
    age: Array
    value: Array


@dataclass(frozen=True)
class Baseline:
    """Fitted parameters: r, alpha, a, b of BG/NBD; p, q, v of Gamma-Gamma."""

    r: float
    alpha: float
    a: float
    b: float
    p: float
    q: float
    v: float

    def alive(self, visits: Visits) -> Array:
        """The probability that each customer has not left. 1 without a repeat: the model lets nobody leave before."""
        x, b = visits.repeats, self.b
        odds = self.a / (b + np.maximum(x, 1) - 1) * self._longer(visits)
        return np.asarray(1 / (1 + np.where(x > 0, odds, 0)), dtype=np.float64)

    def purchases(self, visits: Visits, days: float) -> Array:
        """The expected purchases of each customer in the next days."""
        x, a, b, r = visits.repeats, self.a, self.b, self.r
        since = self.alpha + visits.age
        hyper = special.hyp2f1(r + x, b + x, a + b + x - 1, days / (since + days))
        stay = (a + b + x - 1) / (a - 1) * (1 - (since / (since + days)) ** (r + x) * hyper)
        return np.asarray(stay * self.alive(visits), dtype=np.float64)

    def revenue(self, visits: Visits, days: float) -> Array:
        """The expected revenue of each customer in the next days."""
        x, mean = visits.repeats, np.maximum(visits.value, 0)
        each = self.p * (self.v + x * mean) / (self.p * x + self.q - 1)
        return self.purchases(visits, days) * each

    def _longer(self, visits: Visits) -> Array:
        longer: Array = ((self.alpha + visits.age) / (self.alpha + visits.last)) ** (self.r + visits.repeats)
        return longer


def fit_baseline(visits: Visits) -> Baseline:
    """Fit both models."""
    x, last, age = visits.repeats, visits.last, visits.age

    def purchases(logs: Array) -> float:
        r, alpha, a, b = np.exp(logs)
        common = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
        stays = special.betaln(a, b + x) - special.betaln(a, b)
        present = -(r + x) * np.log(alpha + age)
        gone = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + last)
        likelihood = common + stays + np.logaddexp(present, np.where(x > 0, gone, -np.inf))
        # A weak pull to 1 keeps parameters finite where the data do not determine them.
        return float(-likelihood.sum() + 1e-4 * len(x) * (logs**2).sum())

    known = (x > 0) & (visits.value > 0)
    repeats, value = x[known], visits.value[known]

    def values(logs: Array) -> float:
        p, q, v = np.exp(logs)
        total = p * repeats
        likelihood = special.gammaln(total + q) - special.gammaln(total) - special.gammaln(q) + q * np.log(v)
        likelihood += (total - 1) * np.log(value) + total * np.log(repeats) - (total + q) * np.log(repeats * value + v)
        return float(-likelihood.sum() + 1e-4 * len(value) * ((logs - np.log(2)) ** 2)[:2].sum())

    start = np.log([0.5, max(1.0, float(np.mean(age)) / 2), 0.5, 2.0])
    r, alpha, a, b = np.exp(optimize.minimize(purchases, start, method="L-BFGS-B", bounds=[(-12, 12)] * 4).x)
    scale = max(1.0, float(np.mean(value)) if len(value) else 1.0)
    money = optimize.minimize(values, np.log([2.0, 3.0, scale]), method="Nelder-Mead", options={"maxiter": 2000}).x
    p, q, v = np.exp(money)
    return Baseline(float(r), float(alpha), float(a), float(b), float(p), float(q), float(v))
