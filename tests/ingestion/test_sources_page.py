"""The examples of docs/sources.md do what the page says."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import CONTRACTS
from pipeline.ingestion import steps as ingestion
from pipeline.ingestion.quarantine import summarize
from pipeline.ingestion.source_schema import MappedColumn, Source
from pipeline.ingestion.sources import load_sources
from pipeline.ingestion.yaml_lines import parse_yaml
from pipeline.lake.tables import Lake
from pipeline.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
KEYS, EXAMPLE = PAGE.split("\n## Example: ")[0], PAGE.split("\n## Example: ")[1]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def inline_mappings() -> list[tuple[str, Any]]:
    """The mappings of single columns that the text has in backquotes, by the column's name where it is given."""
    section = KEYS.split("\n### `columns`")[1].split("\n### ")[0]
    found = []
    for text in re.findall(r"`([^`]+)`", section):
        if not re.fullmatch(r"(\w+: )?([\[{].*[\]}]|Price_\{brand\}|Units)", text) or "…" in text:
            continue
        content = parse_yaml(text if ": " in text.split("{")[0].split("[")[0] else f"x: {text}").content
        found += list(content.items())
    return found


def test_the_first_example_is_a_valid_mapping_file(tmp_path: Path) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(blocks(KEYS, "yaml")[0], encoding="utf-8")
    till = load_sources(Settings(sources=file)).get("transactions")
    assert (till.spec.format.delimiter, till.spec.repeats) == (";", "drop")


def test_there_is_an_example_of_every_form() -> None:
    mappings = [mapping if isinstance(mapping, dict) else {"from": mapping} for _, mapping in inline_mappings()]
    assert {key for mapping in mappings for key in mapping} >= {
        "from",
        "formula",
        "value",
        "values",
        "format",
        "day_one",
    }


@pytest.mark.parametrize(("column", "mapping"), inline_mappings(), ids=str)
def test_every_example_of_a_mapped_column_is_valid(column: str, mapping: Any) -> None:
    MappedColumn.model_validate(mapping)
    assert column == "x" or any(column in {c.name for c in contract.columns} for contract in CONTRACTS.values())


def test_every_key_of_a_source_is_described() -> None:
    rows = KEYS.split("## Keys of a source")[1].split("\n### ")[0]
    keys = {field.alias or name for name, field in Source.model_fields.items()}
    assert keys == set(re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE))


def test_every_option_of_a_contract_is_described_with_its_default() -> None:
    section = KEYS.split("\n### `options`")[1]
    for table, contract in CONTRACTS.items():
        for option, default in contract.options.items():
            assert f"**`{option}`** of `{table}`" in section
            assert (
                (f"`{default}` by\ndefault" in section)
                if default
                else "By default every line is merchandise" in section
            )


def test_the_example_of_line_totals_gives_the_rows_that_the_page_names(tmp_path: Path) -> None:
    (lines,), (mapping,) = blocks(EXAMPLE, "csv"), blocks(EXAMPLE, "yaml")
    with zipfile.ZipFile(tmp_path / "orders.zip", "w") as archive:
        archive.writestr("orders.csv", lines)
    (tmp_path / "sources.yaml").write_text(mapping, encoding="utf-8")
    settings = Settings(home=str(tmp_path / "home"), sources=tmp_path / "sources.yaml", data=str(tmp_path))
    (delivery,) = ingestion.pending(settings, "transactions")
    entry = ingestion.ingest(settings, delivery).entry
    assert (entry.read, entry.clean, entry.quarantined) == (6, 5, 1)
    rows = Lake(settings).read("transactions").sort_by("row")
    assert list(zip(rows["quantity"].to_pylist(), rows["unit_price"].to_pylist(), strict=True)) == [
        (2, 12.75),
        (3, 3.0),
        (1, 3.0),
        (1, 12.75),
        (10, 3.0),
    ]
    assert rows["description"].to_pylist()[:2] == ["P-1 Desk lamp", "P-2 Paper"]
    assert set(rows["country"].to_pylist()) == {"United States"}
    assert all(rows["is_product"].to_pylist())
    (held,) = summarize(settings, "transactions")
    assert set(held.reasons) == set(re.findall(r"`(\w+: [^`]+)`", EXAMPLE.split("\n## ")[0].split("```")[-1]))
