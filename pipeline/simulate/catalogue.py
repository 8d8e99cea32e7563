"""The catalogue of the simulated shop: its products, and the codes on its invoices that are not products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PRODUCTS = 2_000

_STYLES = (
    "VINTAGE|RETROSPOT|WHITE HANGING|SET OF 6|PACK OF 12|RED|IVORY|ANTIQUE SILVER|WOODEN|PINK|REGENCY|JUMBO|SMALL|CAFÉ"
)
_MOTIFS = "HEART|STAR|UNION JACK|POLKADOT|SPACEBOY|STRAWBERRY|SKULLS|PAISLEY|ROSE|OWL|CHRISTMAS TREE|LOVEBIRD"
_THINGS = (
    'T-LIGHT HOLDER|LUNCH BAG|CAKE CASES|BUNTING|MUG|DOORMAT|CAKESTAND, 3 TIER|TEA,COFFEE,SUGAR JARS|FRAME 6"|'
    "PAPER NAPKINS|JUMBO BAG|STORAGE TIN|HOT WATER BOTTLE|ALARM CLOCK|KEY RING|LANTERN"
)

# Codes that are not merchandise, as UCI Online Retail has them, with their descriptions.
SPECIALS = {
    "POST": "POSTAGE",
    "DOT": "DOTCOM POSTAGE",
    "C2": "CARRIAGE",
    "M": "Manual",
    "D": "Discount",
    "S": "SAMPLES",
    "BANK CHARGES": "Bank Charges",
    "AMAZONFEE": "AMAZON FEE",
    "B": "Adjust bad debt",
}
# Descriptions that people type for a stock movement; None, nothing typed, is the most frequent.
NOTES = (None,) * 12 + ("check", "?", "damages", "damaged", " found", "Damaged", "thrown away ", "adjustment")


@dataclass(frozen=True)
class Catalogue:
    """Items by position: the products first, then the special codes.

    Attributes:
        codes: the stock code of each item.
        texts: every description. Product `i` has `texts[i + variant * PRODUCTS]`, where the variants are the listed
            text, mixed case, and blanks around it. Specials start at `specials_at`, notes at `notes_at`.
        prices: of products, in the shop's currency.
        popularity: cumulative share of the lines, by product.
        variants: how many variants of a product's description there are.
    """

    codes: pa.StringArray
    texts: pa.StringArray
    prices: npt.NDArray[np.float64]
    popularity: npt.NDArray[np.float64]
    variants: int = 3

    @property
    def specials_at(self) -> int:
        """Position in `texts` of the first special code's description."""
        return self.variants * PRODUCTS

    @property
    def notes_at(self) -> int:
        """Position in `texts` of the first note."""
        return self.specials_at + len(SPECIALS)

    def special(self, code: str) -> tuple[int, int]:
        """The positions of a special code among the items and of its description in `texts`."""
        position = list(SPECIALS).index(code)
        return PRODUCTS + position, self.specials_at + position


@lru_cache(maxsize=8)
def catalogue(seed: int) -> Catalogue:
    """Draw the catalogue of the shop with this seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    names = [" ".join(words) for words in product(_STYLES.split("|"), _MOTIFS.split("|"), _THINGS.split("|"))]
    listed = [names[i] for i in rng.permutation(len(names))[:PRODUCTS]]
    # About one description in five has blanks around it, always the same ones, as in the real shop.
    blanks = rng.choice(4, PRODUCTS, p=(0.79, 0.17, 0.02, 0.02))
    printed = [("", "", " ", "  ")[b] + name + ("", " ", "", " ")[b] for name, b in zip(listed, blanks, strict=True)]
    numbers = np.sort(rng.choice(np.arange(20_000, 90_000), PRODUCTS, replace=False))
    letters = rng.choice(list("ABCDE"), PRODUCTS)
    lettered = rng.random(PRODUCTS) < 0.1
    codes = [f"{n}{letter if add else ''}" for n, letter, add in zip(numbers, letters, lettered, strict=True)]
    raw = np.exp(rng.normal(np.log(2.6), 0.95, PRODUCTS))
    raw[rng.random(PRODUCTS) < 0.004] *= 30  # a few cabinets among the knick-knacks
    prices = np.maximum(np.round(raw * 10) / 10 - 0.05, 0.15).round(2)
    appeal = np.exp(rng.normal(0, 1.0, PRODUCTS)) * prices**-0.25
    return Catalogue(
        codes=pa.array([*codes, *SPECIALS]),
        texts=pa.array(
            [
                *printed,
                *(name.title() for name in listed),
                *(f" {name}  " for name in listed),
                *SPECIALS.values(),
                *NOTES,
            ]
        ),
        prices=prices,
        popularity=np.cumsum(appeal / appeal.sum()),
    )
