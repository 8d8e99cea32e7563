"""Where the pages of a domain lead: to its other pages, to the deliveries it is made from, and to its models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.registry.addresses import version_address
from pipeline.registry.client import Registry
from pipeline.reports.page import Link
from pipeline.reports.phrasing import readable
from pipeline.reports.ways import Related

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.training.spec import Domain


def related_pages(domain: Domain) -> tuple[Related, ...]:
    """The folders of pages about the same day: the domain's, the drift of its models, and its deliveries.

    What is known as of a day was delivered with the rows of the day before.
    """
    tables = (domain.input_table, *domain.other_inputs)
    return (
        Related(domain.name.capitalize(), domain.name, search=domain.search),
        *(Related(f"drift of {readable(name)}", f"drift/{name}") for name in domain.model_names),
        *(Related(f"delivery of {readable(table)}", f"validation/{table}", days=-1) for table in tables),
    )


def model_links(settings: Settings, domain: Domain) -> tuple[Link, ...]:
    """The champions of a domain in MLflow, if an address is configured at which people open it."""
    registry = Registry(settings)
    links = []
    for name in domain.model_names:
        champion = registry.champion(name)
        if champion and (address := version_address(settings, champion.name, champion.version)):
            links.append(Link(f"{readable(name)} {champion.version} in MLflow", address))
    return tuple(links)
