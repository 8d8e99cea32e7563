"""The task that writes the morning page, at the end of a run that changed what it shows."""

from __future__ import annotations

from typing import Any

from airflow.sdk import task

from aisle_dags.tasks import step


def morning_page() -> Any:
    """Make the task. As a teardown it runs whatever the others end as, and never decides how the run ends."""

    @task
    @step
    def morning_page() -> str:
        from pipeline.morning.page import write_morning_page
        from pipeline.settings import load_settings

        return write_morning_page(load_settings())

    return morning_page().as_teardown()
