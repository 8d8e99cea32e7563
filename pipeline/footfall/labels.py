"""What the columns of days with footfall are called on pages."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.reports.labels import Label

PREDICTIONS: Mapping[str, Label] = {"footfall_buyers": Label("predicted buyers", "buyers")}
"""Model -> what it predicts."""

LABELS: Mapping[str, Label] = {"visitors": Label("visitors", "visitors"), "buyers": Label("buyers", "buyers")}
