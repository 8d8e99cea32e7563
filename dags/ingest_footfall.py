"""
### Ingest footfall

Brings in how many people came in and how many paid.

**Purpose:** wait for the delivery → keep its bytes as they came → check every row → commit clean rows and quarantine.

**Inputs:** the source of `footfall` in `sources.yaml`. A nightly run takes the day of its data interval (UTC).
Started by hand, the form's *From* and *Until* say which days; *Source* picks one of several sources.

**Outputs:** tables `footfall`, `footfall.quarantine` and `ledger`; an event of the asset `footfall`.

**Safe to run again?** Yes, at once or a year later. A delivery replaces itself; the same bytes again change nothing.

**When it fails**

- `wait_for_delivery` timed out: nothing arrived in 12 hours. Ask the source; clear the task when it is there.
- `refusals` is red: a whole delivery was refused and nothing of it was committed. The log names each reason.
- Rows in quarantine do not fail a run: buyers without visitors, a day twice. See `aisle quarantine list`.

Airflow wires the tasks of every table alike: `aisle_dags/ingestion.py`.
"""

from __future__ import annotations

from aisle_dags.ingestion import ingestion_dag

ingest_footfall = ingestion_dag("footfall", __doc__)
