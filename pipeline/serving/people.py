"""Pages for people at addresses that answer programs with JSON: failures, and the models in use.

Which of the two is meant follows from the header Accept: browsers ask for `text/html` when somebody opens an address,
programs and scripts of pages do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers

from pipeline.dates import UNDATED_AS_OF
from pipeline.reports.headers import HEADERS as REPORT_HEADERS
from pipeline.reports.labels import metric_of
from pipeline.reports.page import Link, Section, Table, render_page
from pipeline.reports.phrasing import counted, readable

HTML = "text/html"
SHOWN_METRICS = 4
"""Metrics of a model in the list of models."""
PAGE_HEADERS = {**REPORT_HEADERS, "Vary": "Accept"}
WAYS = Section(
    "Go on",
    table=Table(
        ("page", "what it shows"),
        [
            (Link("Start", "/"), "forecasts, customers, prices and footfall, to try"),
            (Link("Reports", "/reports/"), "the morning page and all others"),
            (Link("Models", "/model"), "the models in use"),
            (Link("API", "/docs"), "every address, with examples"),
        ],
    ),
)
_HEADINGS = {
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.UNAUTHORIZED: "A key is required",
    HTTPStatus.FORBIDDEN: "This is not allowed",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available at the moment",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed",
}


def wants_page(headers: Headers) -> bool:
    """Whether a client asks for a page: `text/html` is among what it accepts, and JSON is not."""
    accepted = {part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")}
    return HTML in accepted and not any(media_type.endswith("json") for media_type in accepted)


def failure_page(status: HTTPStatus, what: str, facts: Mapping[str, str], request_id: str) -> str:
    """A failure as a page.

    Args:
        status: of the response.
        what: what is wrong, without a full stop.
        facts: where, what was observed and allowed, what to do; empty ones are left out.
        request_id: by which the operator finds the request in the log.
    """
    rows = [(name, text) for name, text in (*facts.items(), ("request", request_id)) if text]
    heading = _HEADINGS.get(status, status.phrase)
    subtitle = f"{status.value} {status.phrase}"
    return render_page(heading, subtitle, [Section(f"{what}.", table=Table(("fact", "value"), rows)), WAYS])


def models_page(states: Sequence[Mapping[str, Any]], problems: Mapping[str, str], now: datetime) -> str:
    """The models in use as a page.

    Args:
        states: the fields of `status.ModelState`.
        problems: endpoint -> why its champion was not loaded.
        now: the time from which ages are counted.
    """
    of_name = {state["name"]: state for state in states}
    rows = [
        (
            Link(readable(name), f"/model/{name}"),
            str(state["version"]),
            trained(state["as_of"], state["registered_at"], now),
            ", ".join(other["route"] for other in states if other["name"] == name),
            ", ".join(f"{text} {value}" for text, value in list(state["measured"].items())[:SHOWN_METRICS]),
        )
        for name, state in of_name.items()
    ]
    columns = ("model", "version", "trained", "answers", "measured before it was used")
    sections = [Section("In use", table=Table(columns, rows, frozenset({1})))]
    if problems:
        not_loaded = [(readable(name), text) for name, text in problems.items()]
        sections.append(Section("Not loaded", table=Table(("endpoint", "why"), not_loaded)))
    return render_page("Models", f"{counted(len(of_name), 'model')} in use", [*sections, WAYS])


def model_page(state: Mapping[str, Any], now: datetime) -> str:
    """One model in use as a page; `state` has the fields of `status.ModelDetails`."""
    challenger = state["challenger"]
    facts = [
        ("version", str(state["version"])),
        ("trained", trained(state["as_of"], state["registered_at"], now)),
        ("in use since", f"{state['since']:%Y-%m-%d %H:%M} UTC"),
        ("answers", state["route"]),
        ("challenger", "none is loaded" if challenger is None else f"version {challenger}"),
        *((f"table {name}", f"version {version}") for name, version in state["tables"].items()),
    ]
    metrics = [
        (metric_of(name).text, metric_of(name).value(value), metric_of(name).meaning)
        for name, value in state["metrics"].items()
    ]
    sections = [
        Section("In use", table=Table(("fact", "value"), facts)),
        Section("Measured before it was used", table=Table(("metric", "value", "meaning"), metrics, frozenset({1}))),
        Section("Features", [", ".join(state["features"])]),
    ]
    return render_page(readable(state["name"]).capitalize(), "A model in use", [*sections, WAYS])


def trained(as_of: date | str, registered_at: datetime, now: datetime) -> str:
    """When a model was trained and on what, in words: "3 days ago on data until 2026-01-04".

    Args:
        as_of: the first day that the training did not know; "undated" for data without dates.
        registered_at: when the version was registered.
        now: the time from which the age is counted.
    """
    undated = not isinstance(as_of, date) or as_of == UNDATED_AS_OF
    data = "undated data" if undated else f"data until {as_of - timedelta(days=1)}"  # type: ignore[operator]
    return f"{_ago(now.astimezone(UTC) - registered_at)} on {data}"


def _ago(age: timedelta) -> str:
    for name, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if age.total_seconds() >= seconds:
            return f"{counted(int(age.total_seconds() // seconds), name)} ago"
    return "just now"
