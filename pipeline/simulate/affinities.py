"""Planted affinities: pairs of products that lie in the same baskets."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pipeline.simulate.catalogue import PRODUCTS

if TYPE_CHECKING:
    from pipeline.simulate.people import Ints


@lru_cache(maxsize=8)
def partners(seed: int) -> Ints:
    """(products,), the position of the product that goes with each one, in the shop with this seed.

    Each product has one partner, whose partner it is.
    """
    order = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,))).permutation(PRODUCTS)
    partner = np.empty(PRODUCTS, dtype=np.int64)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    return partner


def pair_up(rng: np.random.Generator, item: Ints, invoice: Ints, partner: Ints, share: float) -> Ints:
    """Replace a share of the lines of an invoice by the partner of the line before.

    Args:
        rng: of its own, so that all other draws stay the same.
        item: (lines,), positions of products, the lines of an invoice together.
        invoice: (lines,), the invoice of each line.
        partner: see `partners`.
        share: of the lines that have one before them.
    """
    before = np.roll(item, 1)
    follows = np.concatenate([[False], invoice[1:] == invoice[:-1]])[: len(item)]
    return np.where(follows & (rng.random(len(item)) < share), partner[before], item)
