"""Revenue, customers, growth and best products by country and by region of the world, as of a day.

Regions are those of the United Nations' standard M49, by the names that point-of-sale systems give to countries. A
country under another name, and lines without one, are in the region `NO_REGION`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from pipeline.customers.features import money, product_lines

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

NO_REGION = "not stated"
GROWTH_DAYS = 91
"""Growth is revenue of this many days until the day, against as many before them."""
BEST = 3
"""Products named for each country and region."""

REGIONS = {
    "Africa": (
        "algeria, angola, benin, botswana, burkina faso, burundi, cameroon, cape verde, chad, comoros, congo, "
        "djibouti, egypt, eritrea, eswatini, ethiopia, gabon, gambia, ghana, guinea, ivory coast, kenya, lesotho, "
        "liberia, libya, madagascar, malawi, mali, mauritania, mauritius, morocco, mozambique, namibia, niger, "
        "nigeria, rsa, rwanda, senegal, seychelles, sierra leone, somalia, south africa, south sudan, sudan, "
        "tanzania, togo, tunisia, uganda, zambia, zimbabwe"
    ),
    "Americas": (
        "antigua and barbuda, argentina, aruba, bahamas, barbados, belize, bermuda, bolivia, brazil, canada, "
        "cayman islands, chile, colombia, costa rica, cuba, curacao, dominica, dominican republic, ecuador, el "
        "salvador, greenland, grenada, guatemala, guyana, haiti, honduras, jamaica, mexico, nicaragua, panama, "
        "paraguay, peru, puerto rico, saint lucia, suriname, trinidad and tobago, united states, united states of "
        "america, uruguay, us, usa, venezuela, west indies"
    ),
    "Asia": (
        "afghanistan, armenia, azerbaijan, bahrain, bangladesh, bhutan, brunei, cambodia, china, cyprus, georgia, "
        "hong kong, india, indonesia, iran, iraq, israel, japan, jordan, kazakhstan, korea, kuwait, kyrgyzstan, "
        "laos, lebanon, macao, malaysia, maldives, mongolia, myanmar, nepal, north korea, oman, pakistan, "
        "palestine, philippines, qatar, saudi arabia, singapore, south korea, sri lanka, syria, taiwan, "
        "tajikistan, thailand, turkey, turkiye, turkmenistan, uae, united arab emirates, uzbekistan, vietnam, "
        "yemen"
    ),
    "Europe": (
        "albania, andorra, austria, belarus, belgium, bosnia and herzegovina, bulgaria, channel islands, croatia, "
        "czech republic, czechia, denmark, eire, england, estonia, european community, faroe islands, finland, "
        "france, germany, gibraltar, great britain, greece, guernsey, hungary, iceland, ireland, isle of man, "
        "italy, jersey, kosovo, latvia, liechtenstein, lithuania, luxembourg, malta, moldova, monaco, montenegro, "
        "netherlands, north macedonia, northern ireland, norway, poland, portugal, romania, russia, san marino, "
        "scotland, serbia, slovakia, slovenia, spain, sweden, switzerland, uk, ukraine, united kingdom, wales"
    ),
    "Oceania": ("australia, fiji, french polynesia, guam, new caledonia, new zealand, papua new guinea, samoa, tonga"),
}
_REGION_OF = {country: region for region, names in REGIONS.items() for country in names.split(", ")}


def region_of(country: str | None) -> str:
    """The region of a country, however its name is written; `NO_REGION` if it is not known."""
    return _REGION_OF.get(" ".join((country or "").casefold().split()), NO_REGION)


def revenue_by_place(con: Backend, transactions: ir.Table, as_of: dt.date, window_days: int) -> pd.DataFrame:
    """Revenue, customers, growth and best products by country and region.

    Args:
        con: the engine.
        transactions: the clean table, one row per invoice line.
        as_of: only what happened before midnight of this day is used.
        window_days: length of the window in days.

    Returns:
        One row per country and, where `country` is missing, per region, the highest revenue first: region, country,
        revenue (money, sales minus returns, guests included), customers (known ones who bought), invoices (with a
        sale), latest and before (revenue of the last `GROWTH_DAYS` and of as many before them), and products, the
        stock codes of the `BEST` by revenue.
    """
    lines = product_lines(transactions, as_of, window_days)
    lines = lines.mutate(country=lines.country.fill_null(NO_REGION))
    countries = con.to_pandas(lines.select("country").distinct())["country"].tolist()
    if not countries:
        return pd.DataFrame(columns=["region", "country", "revenue"])
    places = ibis.memtable(pd.DataFrame({"country": countries, "region": [region_of(name) for name in countries]}))
    placed = lines.join(places, "country")
    parts = [
        _figures(con, placed, ["region", "country"], as_of),
        _figures(con, placed, ["region"], as_of).assign(country=None),
    ]
    return pd.concat(parts).sort_values(["revenue", "country"], ascending=[False, True], ignore_index=True)


def _figures(con: Backend, lines: ir.Table, by: list[str], as_of: dt.date) -> pd.DataFrame:
    sold = lines.quantity > 0
    middle, first = (ibis.date(as_of - dt.timedelta(days=n * GROWTH_DAYS)) for n in (1, 2))
    day = lines.invoiced_at.date()
    figures = lines.group_by(by).agg(
        revenue=money(lines.amount.sum()),
        customers=lines.customer_id.nunique(where=sold),
        invoices=lines.invoice.nunique(where=sold),
        latest=money(lines.amount.sum(where=day >= middle)),
        before=money(lines.amount.sum(where=(day >= first) & (day < middle))),
    )
    products = lines.group_by([*by, "stock_code"]).agg(amount=lines.amount.sum())
    # Equal revenue is ordered by the code, so that the same lines name the same products.
    rank = ibis.row_number().over(group_by=by, order_by=[ibis.desc("amount"), "stock_code"])
    best = products.mutate(rank=rank).filter(lambda t: t["rank"] < BEST)
    named = con.to_pandas(best).sort_values("rank").groupby(by)["stock_code"].agg(list).rename("products")
    found: pd.DataFrame = con.to_pandas(figures).merge(named.reset_index(), on=by)
    return found
