"""Arithmetic on a source's columns: `formula` in `sources.yaml`, such as `Sales / Quantity`.

A formula consists of column names, numbers, `+`, `-`, `*`, `/` and brackets. A name that is no plain word is quoted, as
in `'Line total' / Units`. Python's parser reads the text; only these kinds of nodes are accepted, and nothing is
executed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

MAX_LENGTH = 200
"""Characters of a formula."""
EXAMPLE = "'Line total' / Units"
OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}


@dataclass(frozen=True)
class Formula:
    """A checked formula.

    Attributes:
        text: as it is written in `sources.yaml`.
        columns: the source's columns in it, in the order in which they first occur.
    """

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr


def parse_formula(text: str) -> Formula:
    """Parse and check a formula.

    Raises:
        ValueError: if it is no arithmetic on columns and numbers, or names no column.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the formula is longer than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no formula; quote names that are no plain words: {EXAMPLE}") from error
    columns: dict[str, None] = {}
    _check(tree, columns)
    if not columns:
        raise ValueError(f"{text!r} names no column; a constant is written {{value: …}}")
    return Formula(text, tuple(columns), tree)


def evaluate(formula: Formula, numbers: Mapping[str, pa.ChunkedArray]) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Evaluate a formula row by row.

    Args:
        numbers: float64 columns of equal length, by name; null where a value is missing.

    Returns:
        float64, null where an operand is missing; and a boolean column that is true where a divisor is zero.
    """
    zero_divisor = pc.is_in(numbers[formula.columns[0]], value_set=pa.array([], pa.float64()))  # false in every row

    def value_of(node: ast.expr) -> Any:
        nonlocal zero_divisor
        if isinstance(node, ast.UnaryOp):
            operand = value_of(node.operand)
            return pc.negate(operand) if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.BinOp):
            left, right = value_of(node.left), value_of(node.right)
            if isinstance(node.op, ast.Div):
                zero_divisor = pc.or_(zero_divisor, pc.fill_null(pc.equal(right, 0.0), False))
            return OPERATIONS[type(node.op)](left, right)
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            return pa.scalar(float(node.value), pa.float64())  # type: ignore[arg-type]
        return numbers[_column_of(node)]

    return value_of(formula._tree), zero_divisor


def _check(node: ast.expr, columns: dict[str, None]) -> None:
    """Accept arithmetic only, and collect the columns."""
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in OPERATIONS:
            _check(left, columns)
            _check(right, columns)
        case ast.UnaryOp(ast.USub() | ast.UAdd(), operand):
            _check(operand, columns)
        case ast.Constant(bool()) | ast.Constant(complex()):
            raise ValueError(f"{node.value!r} is neither a number nor a column")
        case ast.Constant(int() | float()):
            pass
        case ast.Name() | ast.Constant(str()):
            columns[_column_of(node)] = None
        case _:
            raise ValueError(
                f"{ast.unparse(node)!r} is not allowed in a formula, only columns, numbers, + - * / and brackets; "
                f"quote names that are no plain words: {EXAMPLE}"
            )


def _column_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else str(ast.literal_eval(node))
