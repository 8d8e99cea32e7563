"""Jinja templates of pages: text is escaped, and passwords in it are hidden."""

from __future__ import annotations

from functools import cache

import jinja2

from pipeline.redaction import redact


@cache
def html_template(package: str, name: str) -> jinja2.Template:
    """Load a template.

    Args:
        package: where it is, such as `pipeline.reports`.
        name: its file.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # A reason, a warning or a source's address may hold a password.
        finalize=lambda value: redact(value) if type(value) is str else value,
    )
    return environment.get_template(name)
