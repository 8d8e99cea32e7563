"""The yardstick of the features: the same 18 features in one hand-written DuckDB query over the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

QUERY = """
COPY (
WITH lines AS (
    SELECT customer_id, invoice, stock_code, quantity, invoiced_at, country,
           CAST(round(unit_price * 10000) AS BIGINT) * quantity AS amount
    FROM read_parquet('{files}')
    WHERE invoiced_at >= TIMESTAMP '{as_of}' - INTERVAL {window} DAY AND invoiced_at < TIMESTAMP '{as_of}'
      AND is_product AND kind IN ('sale', 'return') AND customer_id IS NOT NULL
),
products AS (
    SELECT customer_id, count(DISTINCT stock_code) AS distinct_products
    FROM lines WHERE quantity > 0 GROUP BY customer_id
),
invoices AS (
    SELECT *, DATE '{as_of}' - CAST(begun AS DATE) AS days,
           (DATE '{as_of}' - CAST(begun AS DATE) - 1) * {months} // {window} AS month
    FROM (
        SELECT customer_id, invoice, min(invoiced_at) AS begun, sum(amount) AS net,
               coalesce(sum(quantity) FILTER (quantity > 0), 0) AS units,
               coalesce(-sum(quantity) FILTER (quantity <= 0), 0) AS returned,
               coalesce(sum(amount) FILTER (quantity > 0), 0) AS sold,
               bool_or(coalesce(country = '{home}', false)) AS home, bool_or(country IS NOT NULL) AS located
        FROM lines GROUP BY customer_id, invoice
    )
),
counted AS (
    SELECT customer_id,
           min(days) FILTER (units > 0) AS recency_days, max(days) FILTER (units > 0) AS oldest,
           max(month) FILTER (units > 0) + 1 AS months,
           min(begun) FILTER (units > 0) AS first, max(begun) FILTER (units > 0) AS last,
           count(*) FILTER (units > 0) AS invoices, count(*) FILTER (units <= 0) AS cancellations,
           sum(units) AS units, sum(returned) AS return_units, sum(sold) / 10000 AS sold, sum(net) / 10000 AS revenue,
           count(*) FILTER (units > 0 AND home) AS home, count(*) FILTER (units > 0 AND located) AS located,
           median(nullif(units, 0)) AS median_basket_units,
           {weekdays}, {hours}, {spends}
    FROM invoices GROUP BY customer_id HAVING count(*) FILTER (units > 0) > 0
),
listed AS (
    SELECT *, [{weekday_names}] AS by_weekday, [{hour_names}] AS by_hour, [{spend_names}][1:months] AS spend
    FROM counted
),
trended AS (
    SELECT *, list_avg(spend) AS mean,
           list_sum(list_transform(spend, (s, k) -> ((months - 1) / 2 - (k - 1)) * s)) * 12
           / greatest(months * (months * months - 1), 1) AS trend
    FROM listed
)
SELECT customer_id, DATE '{as_of}' AS as_of, CAST(recency_days AS DOUBLE) AS recency_days,
       CAST(invoices AS DOUBLE) AS invoices, CAST(units AS DOUBLE) AS units, revenue,
       sold / invoices AS average_ticket, CAST(distinct_products AS DOUBLE) AS distinct_products,
       CASE WHEN invoices > 1 THEN epoch(last - first) / 86400 / (invoices - 1) ELSE {window} END
           AS days_between_invoices,
       CAST(list_position(by_weekday, list_max(by_weekday)) - 1 AS DOUBLE) AS favourite_weekday,
       CAST(list_position(by_hour, list_max(by_hour)) - 1 AS DOUBLE) AS favourite_hour,
       CASE WHEN located > 0 THEN CAST(home * 2 >= located AS DOUBLE) END AS is_home_country,
       CAST(cancellations AS DOUBLE) AS cancellations, cancellations / (invoices + cancellations) AS cancellation_rate,
       mean / 10000 AS monthly_spend_mean,
       sqrt(list_avg(list_transform(spend, s -> (s - mean) * (s - mean)))) / 10000 AS monthly_spend_std,
       trend / 10000 AS monthly_spend_trend, CAST(return_units AS DOUBLE) AS return_units,
       invoices * 30 / greatest(oldest, 30) AS purchase_frequency, median_basket_units
FROM trended JOIN products USING (customer_id)
) TO '{out}' (FORMAT parquet)
"""


def features(
    files: Path | str, out: Path, as_of: dt.date, window_days: int, home_country: str, *, memory: str, spill: str
) -> None:
    """Write the features of `pipeline.customers.features` to a Parquet file, with the engine's own limits."""
    import duckdb

    months = max(1, round(window_days / 30))
    counts = {
        "weekday": [f"count(*) FILTER (units > 0 AND isodow(begun) = {k + 1}) AS weekday_{k}" for k in range(7)],
        "hour": [f"count(*) FILTER (units > 0 AND hour(begun) = {k}) AS hour_{k}" for k in range(24)],
        "spend": [f"coalesce(sum(net) FILTER (month = {k}), 0) AS spend_{k}" for k in range(months)],
    }
    query = QUERY.format(
        files=files,
        out=out,
        as_of=as_of,
        window=window_days,
        months=months,
        home=home_country,
        weekdays=", ".join(counts["weekday"]),
        hours=", ".join(counts["hour"]),
        spends=", ".join(counts["spend"]),
        weekday_names=", ".join(f"weekday_{k}" for k in range(7)),
        hour_names=", ".join(f"hour_{k}" for k in range(24)),
        spend_names=", ".join(f"spend_{k}" for k in range(months)),
    )
    con = duckdb.connect(config={"threads": 2, "memory_limit": memory, "temp_directory": spill})
    con.execute("SET enable_progress_bar = false")
    con.execute(query)
