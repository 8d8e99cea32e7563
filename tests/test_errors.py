"""Errors that teach."""

from __future__ import annotations

from pipeline.errors import AisleError, RefusedError, UsageError


def test_a_message_says_what_where_and_what_to_do() -> None:
    error = RefusedError("It is empty", where="x.csv", observed=0, allowed="a row", todo="ask again")
    assert str(error) == "It is empty\n  where: x.csv\n  observed: 0\n  allowed: a row\n  do next: ask again"
    assert (error.what, error.where, error.observed) == ("It is empty", "x.csv", 0)


def test_what_is_not_known_is_left_out() -> None:
    assert str(UsageError("Say which")) == "Say which"


def test_refusal_and_wrong_usage_are_told_apart() -> None:
    assert issubclass(UsageError, AisleError)
    assert issubclass(RefusedError, AisleError)
    assert not issubclass(UsageError, RefusedError)
