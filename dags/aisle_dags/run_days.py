"""The days that a run works on, from its form, its data interval and its asset events."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pipeline.dates import DAY, parse_as_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Asset


@dataclass(frozen=True)
class Span:
    """The days `[since, until)`."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise UsageError(
                "A run needs at least one day",
                where="the form's From and Until, or the run's data interval",
                observed=f"from {self.since} until {self.until}",
                allowed="from before until; until is the first day that no longer belongs to it",
                todo="trigger the DAG again with both dates",
            )

    @property
    def days(self) -> list[date]:
        """Each day, oldest first."""
        return [self.since + DAY * n for n in range((self.until - self.since).days)]

    @property
    def last(self) -> date:
        """The newest day."""
        return self.until - DAY


def form_span(params: Mapping[str, Any]) -> Span | None:
    """The days that the form gives; None if both fields are empty.

    One date alone gives one day: From is that day, or Until is the day after it.

    Raises:
        UsageError: if the dates are in the wrong order.
    """
    since, until = (_date(params.get(field)) for field in ("from", "until"))
    if since:
        return Span(since, until or since + DAY)
    return Span(until - DAY, until) if until else None


def span_of(context: Mapping[str, Any]) -> Span:
    """The days of a run that is scheduled by time: those of its form, else of its data interval.

    Raises:
        UsageError: if there is no day in either. A run without a logical date has no interval, and a plain cron
            schedule gives an empty one; neither is taken for a day.
    """
    if span := form_span(context["params"]):
        return span
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is None or end is None:
        raise UsageError(
            "This run has no days to work on",
            where=f"run {_run_id(context)}",
            observed="no dates in the form and no logical date",
            allowed="From (and Until) in the form, or a logical date",
            todo="trigger the DAG again with From and Until filled in",
        )
    return Span(_day(start), _day(end))


def event_days(context: Mapping[str, Any], asset: Asset | None = None) -> list[date]:
    """The days that the asset events behind a run name in their `extra` (`day` or `days`), sorted, without duplicates.

    Events are hints: one may be lost, arrive twice, or name no day.

    Args:
        context: Airflow's context of the running task.
        asset: the asset whose events to read. Default: all of them.
    """
    extras = [event.extra or {} for event in _events(context, asset)]
    days = [day for extra in extras for day in (extra.get("days") or [extra.get("day")]) if day]
    return sorted({parse_as_of(day) for day in days})


def triggered_by(context: Mapping[str, Any], asset: Asset) -> bool:
    """Whether an event of the asset started the run, or no event did (a run by hand or by time)."""
    return bool(_events(context, asset)) or not _events(context)


def pending(known: Iterable[date], done: Iterable[date], hinted: Iterable[date] = ()) -> list[date]:
    """The as-of days to work on, oldest first.

    They are the newest known day, the days that events name, and all known days after the newest one with a result, so
    that a lost event does no harm. Without any result yet, it is only the newest day and not the whole history.

    Args:
        known: as-of days whose input exists.
        done: as-of days whose result exists.
        hinted: as-of days that events name.
    """
    known, done = set(known), set(done)
    if not known:
        return []
    wanted = {max(known), *hinted}
    if done:
        wanted |= {day for day in known if day > max(done)}
    return sorted(wanted)


def training_day(context: Mapping[str, Any], known: Iterable[date]) -> date:
    """The as-of day of a training: the form's, else the event's, else the end of a scheduled run's data interval.

    It is at most the day after the newest known day, so that a late source leads to an older model and not to an empty
    one.

    Args:
        context: Airflow's context of the running task.
        known: days for which the lake holds the model's input.

    Raises:
        UsageError: if there is no such day.
    """
    newest = max(known, default=None)
    if newest is None:
        raise UsageError(
            "There is nothing to train on", where="the lake", todo="run the ingestion of the model's input table"
        )
    if form := _date(context["params"].get("as_of")):
        return form
    by_hand = getattr(context.get("dag_run"), "run_type", None) == "manual"
    end = None if by_hand else context.get("data_interval_end")
    requested = event_days(context) or ([_day(end)] if end else [])
    return min([newest + DAY, *requested[-1:]])


def _events(context: Mapping[str, Any], asset: Asset | None = None) -> list[Any]:
    groups = (context.get("triggering_asset_events") or {}).items()
    return [event for one, group in groups for event in group if asset is None or one.name == asset.name]


def _date(value: str | None) -> date | None:
    return date.fromisoformat(value) if value else None


def _day(instant: datetime) -> date:
    return instant.date()


def _run_id(context: Mapping[str, Any]) -> str:
    run = context.get("dag_run")
    return str(run.run_id) if run else "unknown"
