"""Who went from which segment to which: since last month, and since the training before the one in use.

Segments keep their ids from one training to the next (`segment_names`), so days that were scored by different versions
can be compared: a customer has moved if the id is another one. Every customer of either day has one row for each
comparison, so the rows of a comparison add up to both days.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import ibis
import pyarrow as pa

from pipeline.customers.domain import DOMAIN
from pipeline.lake import engine
from pipeline.lake.tables import Lake

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ibis.expr.types as ir

    from pipeline.customers.segment_map import SegmentMap
    from pipeline.training.spec import Champions, Run

LAST_MONTH, LAST_TRAINING = "last month", "last training"
MONTH_AGO = (dt.timedelta(days=28), dt.timedelta(days=62))
"""How long ago the day of last month may be: the newest scored one in between is taken."""
NOT_ASSIGNED = "not assigned"
"""The name where a customer was known and a feature was missing, so that no segment could be given."""
SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("since", pa.string()),
        ("compared_with", pa.date32()),
        ("from_segment", pa.int64()),
        ("from_name", pa.string()),
        ("to_segment", pa.int64()),
        ("to_name", pa.string()),
    ]
)


def score(run: Run, champions: Champions) -> pa.Table:  # noqa: ARG001 (the scores name their versions)
    """Return the movements of every customer as of a day, from the scores of that day and of days before it.

    Returns:
        One row for each comparison and customer of either day: customer_id; since, `last month` or `last training`;
        compared_with, the earlier day; from_segment and from_name on that day, missing for who was no customer then;
        to_segment and to_name, missing for who is none now. A comparison without an earlier day has no rows.
    """
    lake, con = Lake(run.settings), engine.connect(run.settings)
    since = run.as_of - dt.timedelta(days=run.settings.window_days)
    scores = engine.table(con, lake, DOMAIN.results_table, since=since, until=run.as_of + dt.timedelta(days=1))
    versions = con.to_pyarrow(scores.group_by("as_of").agg(version=scores.model_version.max()))
    by_day = dict(zip(versions["as_of"].to_pylist(), versions["version"].to_pylist(), strict=True))
    found = [
        con.to_pyarrow(movements_between(scores, before, run.as_of, name)).cast(SCHEMA)
        for name, before in (
            (LAST_MONTH, day_of_last_month(list(by_day), run.as_of)),
            (LAST_TRAINING, day_of_last_training(by_day, run.as_of)),
        )
        if before
    ]
    rows = pa.concat_tables([SCHEMA.empty_table(), *found])
    return rows.sort_by([("since", "ascending"), ("customer_id", "ascending")])


def movements_between(scores: ir.Table, before: dt.date, after: dt.date, since: str) -> ir.Table:
    """Join the segments of two days, see `score`.

    Args:
        scores: customer_id, as_of, segment and segment_name; a customer once a day.
        before: the earlier day.
        after: the later day.
        since: the name of the comparison.
    """
    sides = []
    for day, side in ((before, "from"), (after, "to")):
        rows = scores.filter(scores.as_of == day)
        sides.append(
            rows.select(
                **{
                    f"{side}_customer": rows.customer_id,
                    f"{side}_segment": rows.segment.cast("int64"),
                    f"{side}_name": rows.segment_name.fill_null(NOT_ASSIGNED),
                }
            )
        )
    joined = sides[0].outer_join(sides[1], [sides[0].from_customer == sides[1].to_customer])
    return joined.select(
        customer_id=ibis.coalesce(joined.from_customer, joined.to_customer),
        since=ibis.literal(since),
        compared_with=ibis.literal(before),
        from_segment=joined.from_segment,
        from_name=joined.from_name,
        to_segment=joined.to_segment,
        to_name=joined.to_name,
    )


def day_of_last_month(days: Sequence[dt.date], as_of: dt.date) -> dt.date | None:
    """The newest scored day that is a month or two before; None without one."""
    nearest, farthest = MONTH_AGO
    return max((day for day in days if nearest <= as_of - day <= farthest), default=None)


def day_of_last_training(versions: Mapping[dt.date, int], as_of: dt.date) -> dt.date | None:
    """The newest day before that another version scored; None while there has been one version."""
    return max((day for day, version in versions.items() if day < as_of and version != versions[as_of]), default=None)


def changed_segments(before: SegmentMap, after: SegmentMap) -> str:
    """Say which segments a retrained segmentation has that the champion lacks, and the reverse."""
    old, new = ({segment.segment_id: segment.name for segment in one.segments} for one in (before, after))
    changes = [
        f"{verb}: {', '.join(names)}"
        for verb, names in (
            ("appeared", [name for key, name in new.items() if key not in old]),
            ("vanished", [name for key, name in old.items() if key not in new]),
        )
        if names
    ]
    return "segments that " + "; that ".join(changes) if changes else "the segments are those of the champion"
