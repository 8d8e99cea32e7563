"""Revenue, customers, growth and best products by country and by region of the world, as of a day.

Regions are those of the United Nations' standard M49, by the names that point-of-sale systems give to countries. A
country under another name, and lines without one, are in the region `NO_REGION`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import pandas as pd

from pipeline.customers.features import money
from pipeline.customers.window_sums import NO_COUNTRY

if TYPE_CHECKING:
    import ibis.expr.types as ir
    from ibis.backends.duckdb import Backend

    from pipeline.customers.window_sums import WindowSums

NO_REGION = NO_COUNTRY
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


def revenue_by_place(con: Backend, sums: WindowSums, as_of: dt.date) -> pd.DataFrame:
    """Revenue, customers, growth and best products by country and region.

    Args:
        con: the engine.
        sums: of the window.
        as_of: the day before which the window ends.

    Returns:
        One row per country and, where `country` is missing, per region, the highest revenue first: region, country,
        revenue (money, sales minus returns, guests included), customers (known ones who bought), invoices (with a
        sale), latest and before (revenue of the last `GROWTH_DAYS` and of as many before them), and products, the
        stock codes of the `BEST` by revenue.
    """
    products = con.to_pandas(sums.by_product)
    countries = products["country"].unique()
    if not len(countries):
        return pd.DataFrame(columns=["region", "country", "revenue"])
    places = pd.DataFrame({"country": countries, "region": [region_of(name) for name in countries]})
    invoices = sums.in_window.join(ibis.memtable(places), "country")
    products = products.merge(places, on="country")
    parts = [
        _figures(con, invoices, products, ["region", "country"], as_of),
        _figures(con, invoices, products, ["region"], as_of).assign(country=None),
    ]
    # Regions have no country to tell them apart where their revenue is equal.
    order = ["revenue", "country", "region"]
    return pd.concat(parts).sort_values(order, ascending=[False, True, True], ignore_index=True)


def _figures(con: Backend, invoices: ir.Table, products: pd.DataFrame, by: list[str], as_of: dt.date) -> pd.DataFrame:
    middle, first = (ibis.date(as_of - dt.timedelta(days=n * GROWTH_DAYS)) for n in (1, 2))
    i = invoices
    figures = i.group_by(by).agg(
        revenue=money(i.amount.sum()),
        customers=i.customer_id.nunique(where=i.sold),
        invoices=i.invoice.nunique(where=i.sold),
        latest=money(i.amount.sum(where=i.day >= middle)),
        before=money(i.amount.sum(where=(i.day >= first) & (i.day < middle))),
    )
    summed = products.groupby([*by, "stock_code"])["amount"].sum().reset_index()
    # Equal revenue is ordered by the code, so that the same lines name the same products.
    ordered = summed.sort_values(["amount", "stock_code"], ascending=[False, True])
    best = ordered.groupby(by).head(BEST).groupby(by)["stock_code"].agg(list).rename("products")
    found: pd.DataFrame = con.to_pandas(figures).merge(best.reset_index(), on=by)
    return found
