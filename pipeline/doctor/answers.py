"""Whether the model registry answers at all, within a bound.

MLflow repeats a request for many minutes before it gives up, and a database that is away can keep its client as long.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipeline.errors import AisleError
from pipeline.redaction import redact
from pipeline.registry.database import database_file

if TYPE_CHECKING:
    from pipeline.settings import Settings

ANSWER_SECONDS = 15.0
"""How long to wait for a server's first answer."""


def silence_of_registry(settings: Settings) -> Exception | None:
    """Ask the registry for its models; None if it answers, else what is wrong and what to do.

    A SQLite file is not asked: it has no one who could keep a client waiting, and is examined by itself.
    """
    try:
        if database_file(settings.mlflow_uri) is not None:
            return None
    except AisleError as error:
        return error
    answers: list[Exception | None] = []

    def ask() -> None:
        from pipeline.registry.store import ModelStore

        try:
            ModelStore(settings).names()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            answers.append(error)
        else:
            answers.append(None)

    # A daemon: it may still wait for the server when everything else has been said.
    asking = threading.Thread(target=ask, daemon=True, name="registry")
    asking.start()
    asking.join(ANSWER_SECONDS)
    if answers:
        return answers[0]
    return AisleError(
        "The model registry does not answer",
        where=redact(settings.mlflow_uri),
        observed=f"nothing within {ANSWER_SECONDS:g} s",
        todo="see whether the server runs there and is not overloaded, and AISLE_TRACKING_URI",
    )
