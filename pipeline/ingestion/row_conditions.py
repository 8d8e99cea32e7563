"""The condition of an expectation that is about some rows only, such as `open == True and sales > 0`.

Great Expectations takes such a condition in the form of pandas. Comparisons of columns and constants, joined by `and`
and `or`, mean the same in Arrow and in SQL: a row with a missing value does not meet them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: pc.equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}


def is_simple(condition: str) -> bool:
    """Whether a condition consists of comparisons joined by `and` and `or` only."""
    try:
        return _is_simple(ast.parse(condition, mode="eval").body)
    except (SyntaxError, ValueError):
        return False


def rows_that_meet(condition: str, rows: pa.Table) -> pa.ChunkedArray:
    """Evaluate a simple condition: true or false for each row, never null.

    Raises:
        KeyError: if a column does not exist.
        ValueError: if the condition is not simple.
        pyarrow.ArrowException: if a column cannot be compared with what it is compared with.
    """

    def met(node: ast.expr) -> Any:
        if isinstance(node, ast.BoolOp):
            join = pc.and_ if isinstance(node.op, ast.And) else pc.or_
            first, *others = map(met, node.values)
            for other in others:
                first = join(first, other)
            return first
        if not isinstance(node, ast.Compare):
            raise ValueError(f"{condition!r} is not a simple condition")
        compare = COMPARISONS[type(node.ops[0])]
        return pc.fill_null(compare(value(node.left), value(node.comparators[0])), False)

    def value(node: ast.expr) -> Any:
        return rows[node.id] if isinstance(node, ast.Name) else pa.scalar(ast.literal_eval(node))

    return met(ast.parse(condition, mode="eval").body)


def _is_simple(node: ast.expr) -> bool:
    match node:
        case ast.BoolOp():
            return all(map(_is_simple, node.values))
        case ast.Compare(ast.Name(), [operator], [ast.Name() | ast.Constant(bool() | int() | float() | str())]):
            return type(operator) in COMPARISONS
        case _:
            return False
