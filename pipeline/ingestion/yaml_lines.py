"""YAML with line numbers: a document as plain Python, and the line of every key, so that messages can name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

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
        yaml.YAMLError: if the text is no YAML, or has tags other than the standard ones.
    """
    parser = _Parser()
    content = parser.value_of(yaml.compose(text, Loader=yaml.SafeLoader), ())
    return Document(content, parser.lines, tuple(parser.repeated_keys))


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
            return yaml.SafeLoader("").construct_object(node)
        except ValueError:  # a date that no calendar has: kept as text, so that the schema can refuse it by its line
            return node.value

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
