"""YAML with line numbers: a document as plain Python, and the line of every key, so that messages can name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_CHARACTERS = 128 * 1024
"""Of a document. A mapping of a hundred sources has about 100,000."""
MAX_VALUES = 20_000
"""Of a document whose aliases are written out."""
MAX_DEPTH = 30
MAX_BITS = 1024
"""Of an integer; longer ones are kept as text."""
KeyPath = tuple[str, ...]
"""The keys that lead to a value, from the top; items of a list by their position."""
Fault = tuple[int, str]
"""A line and what is wrong there."""


@dataclass(frozen=True)
class Document:
    """A YAML document.

    Attributes:
        content: its value as plain Python.
        lines: the 1-based line of each key.
        repeated_keys: the faults of keys that a mapping has more than once.
    """

    content: Any
    lines: Mapping[KeyPath, int]
    repeated_keys: tuple[Fault, ...]


def parse_yaml(text: str) -> Document:
    """Parse one YAML document, with anchors and merge keys.

    Raises:
        yaml.YAMLError: if the text is no YAML, has tags other than the standard ones, is too long or too deeply nested,
            contains itself, or has aliases that make it too large.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"it has more than {MAX_CHARACTERS:,} characters")
    parser = _Parser()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _measure(root, {})
        content = parser.value_of(root, ())
    except RecursionError as error:
        raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} levels deep") from error
    return Document(content, parser.lines, tuple(parser.repeated_keys))


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Count the values and levels of a node whose aliases are written out, without writing them out.

    Args:
        node: the node.
        known: the result for each node that was visited, by its `id`; None while it is under way.

    Raises:
        yaml.YAMLError: if there are too many, if a node contains itself, or if a key is no plain text.
    """
    if id(node) in known:
        result = known[id(node)]
        if result is None:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: the value contains itself")
        return result
    known[id(node)] = None
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [value for _, value in node.value]
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: a key is a list or a mapping")
    measures = [_measure(part, known) for part in parts]
    values, depth = 1 + sum(count for count, _ in measures), 1 + max((levels for _, levels in measures), default=0)
    line = node.start_mark.line + 1
    if values > MAX_VALUES:
        raise yaml.YAMLError(f"line {line}: with its aliases written out it has more than {MAX_VALUES:,} values")
    if depth > MAX_DEPTH:
        raise yaml.YAMLError(f"line {line}: it is nested more than {MAX_DEPTH} levels deep")
    known[id(node)] = values, depth
    return values, depth


def nearest_line(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of a key, or of the nearest key above it that the document has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


@dataclass
class _Parser:
    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated_keys: list[Fault] = field(default_factory=list)

    def value_of(self, node: yaml.Node | None, path: KeyPath) -> Any:
        if node is None:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value_of(item, (*path, str(i))) for i, item in enumerate(node.value)]
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except yaml.YAMLError:
            raise
        except Exception:  # noqa: BLE001
            # A date that no calendar has, or `!!int x`: kept as text, so that the schema can refuse it by its line.
            return node.value
        # Python refuses to write an integer of thousands of digits as text.
        return node.value if isinstance(value, int) and value.bit_length() > MAX_BITS else value

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                name = ".".join((*path, str(key.value)))
                self.repeated_keys.append((key.start_mark.line + 1, f"{name}: the key is repeated"))
            seen.add(str(key.value))
        yaml.SafeLoader("").flatten_mapping(node)
        content = {}
        for key, value in node.value:
            name = str(key.value)
            self.lines[(*path, name)] = key.start_mark.line + 1
            content[name] = self.value_of(value, (*path, name))
        return content
