"""The start page in a real browser: it shows what the service answers, names missing days, and runs no planted text."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from pipeline.customers.customer_endpoint import ENDPOINT as CUSTOMERS
from pipeline.customers.customer_endpoint import VALUES
from pipeline.customers.domain import DOMAIN, RECOMMENDATIONS_TABLE, VALUE_TABLE
from pipeline.lake.tables import Lake
from pipeline.reports.phrasing import NumberStyle, amount, written_in
from pipeline.settings import Settings
from pipeline.stores.endpoint import ENDPOINT as STORE_SALES
from pipeline.stores.state_files import newest_state, read_state, write_state
from pipeline.stores.store_endpoint import ENDPOINT as STORES
from tests.browser import PLANTED, document
from tests.serving.helpers import AS_OF, ready, running

AXE = Path(__file__).resolve().parents[1] / "vendor" / "axe-core" / "axe.min.js"
ASK = """(async () => {
  const broken = async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
    .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`)
  const byDay = await broken()
  for (const rule of [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]))
    if (rule.conditionText?.includes("prefers-color-scheme: dark")) rule.media.mediaText = "all"
  const found = { byDay, inTheDark: await broken(), ground: getComputedStyle(document.body).backgroundColor }
  document.body.append(Object.assign(document.createElement("output"), { textContent: JSON.stringify(found) }))
})()"""


def part(page: str, element: str) -> str:
    """The words in the element with this id, without markup; elements with ids do not lie within each other here."""
    inside = page.partition(f'id="{element}"')[2]
    ends = re.split(
        r'<(?:section|figure|details|form|main)\b|<(?:div|p|h2|output)[^>]* id="|</section>', inside, maxsplit=1
    )
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", ends[0].partition(">")[2])).split())


def rules_broken(page: str, style: str, file: Path) -> dict[str, Any]:
    """The rules of accessibility that a page breaks by day and in the dark, and its background in the dark.

    Args:
        page: its document after its scripts have run.
        style: its style sheet.
        file: where a copy of it without its scripts is written, which the rules are asked of.
    """
    still = re.sub(r"<script\b.*?</script>|<link\b[^>]*>", "", page, flags=re.DOTALL)
    asked = f"<style>{style}</style>{still}<script>{AXE.read_text()}</script><script>{ASK}</script>"
    file.write_text(f"<!doctype html>{asked}")
    shown = document(f"file://{file}").rpartition("<output>")[2].partition("</output>")[0]
    found: dict[str, Any] = json.loads(unescape(shown))
    return found


def answers(client: httpx.Client, path: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.post(path, json={"rows": rows}).json()["answers"]
    return found


def test_the_page_shows_what_the_service_answers(
    client: httpx.Client, examples: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    page = document(f"{client.base_url}/?store=2", 20_000)
    found = rules_broken(page, client.get("/assets/page.css").text, tmp_path / "still.html")
    assert found == {"byDay": [], "inTheDark": [], "ground": "rgb(18, 22, 28)"}
    assert 'class="bad"' not in page, re.findall(r'class="bad"[^<]*<', page)

    store = client.get("/stores/2").json()
    rows = [{"store": 2, "day": day["day"]} for day in store["planned"]]
    forecast = client.post("/predict", json={"rows": rows, "sum_over": "store"}).json()
    planned, (summed,) = forecast["answers"], forecast["sums"]
    monday = next(
        n
        for n, day in enumerate(rows)
        if date.fromisoformat(day["day"]).weekday() == 0
        and not any(one["promo"] for one in store["planned"][n : n + 6])
    )
    promoted = [row | ({"promo": True} if monday <= n < monday + 6 else {}) for n, row in enumerate(rows)]
    with_promotion = sum(answer["mean"] for answer in answers(client, "/predict", promoted))
    total = sum(answer["mean"] for answer in planned)
    state = client.get("/model").json()
    with written_in(NumberStyle(state["locale"], state["currencies"], "store_days")):
        planned_sales, changed_sales = amount(total), amount(with_promotion)
        low, high = amount(summed["low_80"]), amount(summed["high_80"])
    said = part(page, "store-summary")
    assert f"expected sales of {planned_sales} on {sum(answer['open'] for answer in planned)} open days" in said
    assert f"For 80 of 100 such plans the total is {low} to {high}." in said
    assert f"With your change {changed_sales}, which is {with_promotion / total - 1:+.1%} against the plan." in said
    assert "sales a day" in page
    assert page.count('<tr><th scope="row">') > len(rows) + len(store["recorded"])

    customer = client.get(f"/customers/{examples['/customers']['rows'][0]['customer']}").json()
    assert f"{customer['segment_name']}. {' '.join(customer['description'])}" in part(page, "customer-summary")
    assert all(product in part(page, "customer") for product in customer["buy_again"] + customer["new_to_you"])

    (today,) = answers(client, "/shoppers/shelf", [{}])
    first, brand = next(iter(today["brands"].items()))
    prices = {name: round(one["price"], 2) for name, one in today["brands"].items()}
    prices[first] = float(re.search(r"[\d.]+", f"{brand['price'] * 1.1:.2f}")[0])  # type: ignore[index]
    (week,) = answers(client, "/shoppers/shelf", [{"prices": prices}])
    assert f"{week['units']['value']:,.0f} units" in part(page, "shelf-summary")
    assert f"units a week {today['units']['value']:,.1f} {week['units']['value']:,.1f}" in part(page, "shelf-week")

    visitors = examples["/footfall"]["rows"][0]["visitors"]
    (footfall,) = answers(client, "/footfall", [{"visitors": visitors}])
    assert f"{footfall['buyers']:,.1f} buyers are expected" in part(page, "footfall-summary")

    models = {model["name"] for model in state["models"]}
    assert f"{len(models)} models are in use." in part(page, "state")
    assert page.count(f"on data until {AS_OF - timedelta(days=1)}") >= len(models) - 1


def test_missing_days_are_named_and_planted_text_stays_text(own_shop: Settings) -> None:
    lake = Lake(own_shop)
    state = read_state(lake, newest_state(lake))
    for t in (-9, 20, 21, 22):
        state.plan.known[0, t - state.plan.first] = False
    write_state(lake, state.as_of, state)
    kept = lake.read(RECOMMENDATIONS_TABLE, where={"as_of": [AS_OF]})
    rows = [row | {"products": [PLANTED, *row["products"]]} for row in kept.to_pylist()]
    lake.replace(RECOMMENDATIONS_TABLE, {"as_of": [AS_OF]}, pa.Table.from_pylist(rows, schema=kept.schema))
    customers = lake.read(DOMAIN.results_table, where={"as_of": [AS_OF]})["customer_id"].to_pylist()
    value = dict(zip(VALUES, (0.432, 1.5, 1234.4, 200.0, 3000.0, 2, 0.9), strict=True))
    expected = [{"customer_id": customer, "as_of": AS_OF} | value for customer in customers]
    lake.replace(VALUE_TABLE, {"as_of": [AS_OF]}, pa.Table.from_pylist(expected))
    with running(own_shop, endpoints=(STORE_SALES, STORES, CUSTOMERS)) as client:
        page = document(f"{ready(client).base_url}/", 20_000)
    assert "Not in the plan, so without a forecast: 22 Jul to 24 Jul." in part(page, "store-summary")
    assert "No delivery had 23 Jun." in part(page, "store-summary")
    assert "revenue £1,234 80 of 100 such customers £200 – £3,000 chance of a purchase 43.2%" in part(page, "customer")
    assert PLANTED in unescape(page)
    assert "<svg onload" not in page
