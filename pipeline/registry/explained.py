"""A client of MLflow whose failures are sentences that say what to do next."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import requests
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import AisleError
from pipeline.redaction import redact
from pipeline.registry.database import fault_of

ANSWERS = ("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE")
"""Errors of MLflow that are answers: they say what there is, and not that something is broken."""


class Explained:
    """Passes on every call to a client; see `fault_of` for what becomes of a failure.

    Args:
        uri: the address of the registry, for messages.
        make: makes the client.

    Raises:
        AisleError: if the registry cannot be opened or does not answer.
    """

    def __init__(self, uri: str, make: Callable[[], Any]) -> None:
        self._uri = redact(uri)
        self._inner = self._explain(make, answers=())()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._explain(found) if callable(found) else found

    def _explain(self, call: Callable[..., Any], answers: Sequence[str] = ANSWERS) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except MlflowException as error:
                if error.error_code in answers:
                    raise
                raise fault_of(error, self._uri) from error
            except AisleError:
                raise
            except requests.RequestException as error:
                raise AisleError(
                    "The model registry cannot be reached",
                    where=self._uri,
                    observed=type(error).__name__,
                    todo="see whether MLflow runs there, and AISLE_TRACKING_URI",
                ) from error
            except (SQLAlchemyError, OSError) as error:
                raise fault_of(error, self._uri) from error

        return run
