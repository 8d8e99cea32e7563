"""Aisle: what a shop's tills record each night becomes what the shop does next morning."""

from pipeline import telemetry

telemetry.disable_telemetry()
