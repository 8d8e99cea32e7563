"""What the simulated shop sells, and the codes on its invoices that are not products."""

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

# Codes that are not merchandise, as UCI Online Retail has them: code -> what the till prints.
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
# What people type beside a stock movement; the repeated blanks stand for nothing typed at all.
NOTES = (None,) * 12 + ("check", "?", "damages", "damaged", " found", "Damaged", "thrown away ", "adjustment")


@dataclass(frozen=True)
class Catalogue:
    """Products first, then the special codes.

    codes: stock code of each item. texts: every description that can be printed; product `i` may be printed as
    `texts[i + variant * PRODUCTS]`, variants being as listed, in mixed case, and with blanks around it; then come
    the specials from `specials_at` and the notes from `notes_at`. prices: of products. popularity: cumulative share.
    """

    codes: pa.StringArray
    texts: pa.StringArray
    prices: npt.NDArray[np.float64]
    popularity: npt.NDArray[np.float64]

    variants: int = 3

    @property
    def specials_at(self) -> int:
        return self.variants * PRODUCTS

    @property
    def notes_at(self) -> int:
        return self.specials_at + len(SPECIALS)

    def special(self, code: str) -> tuple[int, int]:
        """The item and the text of a special code."""
        position = list(SPECIALS).index(code)
        return PRODUCTS + position, self.specials_at + position


@lru_cache(maxsize=8)
def catalogue(seed: int) -> Catalogue:
    """The catalogue of the shop with this seed."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    names = [" ".join(words) for words in product(_STYLES.split("|"), _MOTIFS.split("|"), _THINGS.split("|"))]
    listed = [names[i] for i in rng.permutation(len(names))[:PRODUCTS]]
    # About one description in five has blanks around it, always the same ones: that is how the real shop listed them.
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
