"""The models that are served, one file each."""

from __future__ import annotations

from pipeline.serving.interface import EndpointSpec
from pipeline.serving.models.footfall import SERVED as FOOTFALL
from pipeline.serving.models.purchase import SERVED as PURCHASE
from pipeline.serving.models.segments import SERVED as SEGMENTS
from pipeline.serving.models.store_sales import SERVED as STORE_SALES

SERVED: tuple[EndpointSpec, ...] = (STORE_SALES, SEGMENTS, PURCHASE, FOOTFALL)
"""In the order in which /docs and the page show them."""
