"""What the morning page shows: lines of domains, models and deliveries, with verdicts, figures and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from pipeline.ingestion.ledger import LedgerEntry
from pipeline.reports.page import Link, Tone
from pipeline.reports.phrasing import NEGLIGIBLE, amount, count, readable, signed_percent

DAYS = 14
"""How many days back the page looks."""
UNUSUAL_FACTOR, UNUSUAL_SHARE = 3.0, 0.01
"""A quarantined share is unusual from this multiple of the usual one, and from this share, on."""
FEW = 100
"""Below this, a change is said by the value before, because a per cent of few says little."""
TONES: Mapping[str, Tone] = {
    "refused": "bad",
    "behind": "bad",
    "no delivery": "bad",
    "unusual data": "bad",
    "drift": "bad",
    "training due": "bad",
    "awaited": "wait",
    "not scored": "wait",
    "no champion": "wait",
    "not checked": "wait",
    "no drift": "good",
    "well": "good",
}
"""Each verdict and its colour."""
ORDER: Sequence[Tone] = ("bad", "wait", "good")


@dataclass(frozen=True)
class Figure:
    """A figure with its history.

    Attributes:
        label: what it is.
        values: one for each of the newest days that have it, oldest first; not empty.
        money_of: the table whose currency the values are in; None for counts.
    """

    label: str
    values: tuple[float, ...]
    money_of: str | None = None

    @property
    def now(self) -> str:
        """The newest value as text."""
        return self._text(self.values[-1])

    @property
    def change(self) -> str:
        """The change since the value before; empty without one."""
        if len(self.values) < 2:
            return ""
        before, now = self.values[-2:]
        if before == now:
            return "unchanged"
        if abs(before) < FEW:
            return f"was {self._text(before)}"
        change = 100 * (now / before - 1)
        return "hardly changed" if abs(change) < NEGLIGIBLE else signed_percent(change)

    def _text(self, value: float) -> str:
        return count(value) if self.money_of is None else amount(value, self.money_of)


@dataclass(frozen=True)
class Line:
    """What there is to know about a delivery, a domain or a model.

    Attributes:
        subject: its name.
        kind: delivery, domain or model; empty for what several share.
        verdict: one of `TONES`.
        links: where to read more.
        figures: what matters most about it.
        news: what is new, in sentences.
        todo: a command that helps; empty if nothing is to be done, or a person has to look first.
        verdicts: the verdict of each of the last days that have one.
        pages: the page of each of the last days that have one.
        domain: the domain that a domain or model belongs to; empty for a delivery.
    """

    subject: str
    kind: str
    verdict: str
    links: tuple[Link, ...] = ()
    figures: tuple[Figure, ...] = ()
    news: tuple[str, ...] = ()
    todo: str = ""
    verdicts: Mapping[date, str] = field(default_factory=dict)
    pages: Mapping[date, Link] = field(default_factory=dict)
    domain: str = ""

    @property
    def tone(self) -> Tone:
        """The colour of the verdict."""
        return TONES[self.verdict]


@dataclass(frozen=True)
class Arrival:
    """The newest delivery of a table.

    Attributes:
        entry: its ledger entry.
        recent: how many deliveries of the table landed within `DAYS` before it, with it.
        usual_share: the median quarantined share of the deliveries before it; None for the first.
        recent_rows: how many rows these recent deliveries had.
        recent_quarantined: how many of these rows went to quarantine.
        page: its page, if it is there.
    """

    entry: LedgerEntry
    recent: int
    usual_share: float | None
    recent_rows: int = 0
    recent_quarantined: int = 0
    page: Link | None = None

    @property
    def share(self) -> float:
        """Its quarantined share."""
        return self.entry.quarantined / self.entry.read if self.entry.read else 0.0

    @property
    def is_unusual(self) -> bool:
        """Whether its quarantined share is far above the usual one."""
        usual = self.usual_share or 0.0
        return self.share >= UNUSUAL_SHARE and self.share >= UNUSUAL_FACTOR * usual


@dataclass(frozen=True)
class SeenError:
    """The error of a champion on outcomes since its training.

    Attributes:
        metric: its name, such as `mape`.
        promised: what the evaluation before the promotion gave.
        seen: what the newest check measured.
        predictions: on how many predictions.
    """

    metric: str
    promised: float
    seen: float
    predictions: int


@dataclass(frozen=True)
class ModelInUse:
    """A champion.

    Attributes:
        name, version: of the registered model.
        as_of: what it was trained on.
        age: days from then to the newest day; None for a model of undated rows.
        error: None as long as no outcome of its predictions is known.
        check: the page of its newest check, if it is there.
        registered: its page in MLflow, if an address of MLflow is configured.
    """

    name: str
    version: int
    as_of: date
    age: int | None
    error: SeenError | None = None
    check: Link | None = None
    registered: Link | None = None


@dataclass(frozen=True)
class Morning:
    """The state of everything.

    Attributes:
        day: the newest as-of day that any domain has scored; None before the first.
        lines: deliveries, then domain by domain.
        arrivals: the newest delivery of each table.
        models: the champions.
        written: when this was read.
    """

    day: date | None
    lines: tuple[Line, ...]
    arrivals: tuple[Arrival, ...]
    models: tuple[ModelInUse, ...]
    written: datetime

    @property
    def urgent_first(self) -> list[Line]:
        """The lines, what is wrong first."""
        return sorted(self.lines, key=lambda line: ORDER.index(line.tone))

    @property
    def not_urgent(self) -> list[Line]:
        """The lines of what is not wrong; the models that were never checked share one, if there are several."""
        lines = [line for line in self.urgent_first if line.tone != "bad"]
        unchecked = [line for line in lines if line.verdict == "not checked"]
        if len(unchecked) < 2:
            return lines
        news = tuple(f"{readable(line.subject)}: {'; '.join(line.news)}" for line in unchecked)
        together = Line(f"{len(unchecked)} models", "", "not checked", news=news, todo="aisle watch")
        return [together, *(line for line in lines if line not in unchecked)]

    @property
    def days(self) -> list[date]:
        """The last days, newest first; none before the first scoring."""
        return [self.day - timedelta(days=n) for n in range(DAYS)] if self.day else []
