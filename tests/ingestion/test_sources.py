"""`sources.yaml`: read, checked against the contracts, and all faults reported at once with their lines."""

from __future__ import annotations

import contextlib
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.contracts import CONTRACTS
from pipeline.errors import UsageError
from pipeline.ingestion.sources import Sources, load_sources
from pipeline.settings import Settings

GOOD = """\
time_zone: Europe/London
home_country: United Kingdom
tables:
  transactions:
    till: &till
      from: drops/{day}.csv
      repeats: drop
      closed_on: [saturday, 2025-12-25]
      columns: &columns
        invoice: InvoiceNo
        stock_code: StockCode
        quantity: Quantity
        unit_price: UnitPrice
        invoiced_at: {from: InvoiceDate, format: "%d/%m/%Y", time_zone: UTC}
      options: {merchandise: '^A'}
    book:
      <<: *till
      from: book.xlsx
      format: {type: xlsx, sheet: Lines}
      columns:
        <<: *columns
        quantity: Units
"""


def load(tmp_path: Path, text: str, table: str | None = None, name: str | None = None) -> Sources:
    file = tmp_path / "sources.yaml"
    file.write_text(text, encoding="utf-8")
    return load_sources(Settings(sources=file, data=str(tmp_path)), table, name)


def faults(tmp_path: Path, text: str, table: str | None = None) -> dict[int, list[str]]:
    """The reported faults, by line."""
    with pytest.raises(UsageError) as error:
        load(tmp_path, text, table)
    reported: dict[int, list[str]] = {}
    for line, fault in re.findall(rf"{tmp_path}/sources\.yaml:(\d+): (.*)", str(error.value)):
        reported.setdefault(int(line), []).append(fault)
    assert f"has {sum(map(len, reported.values()))} fault" in str(error.value)
    return reported


def test_a_source_has_its_values_and_lines(tmp_path: Path) -> None:
    till = load(tmp_path, GOOD).get("transactions")
    assert (till.name, till.time_zone) == ("till", "Europe/London")
    assert till.spec.closed_on == ("saturday", date(2025, 12, 25))
    assert till.spec.columns["invoiced_at"].time_zone == "UTC"
    assert till.spec.format.final_newline == "required"
    assert till.where.endswith("sources.yaml, line 5")
    assert till.column_lines["quantity"] == 12


def test_merged_keys_keep_their_lines(tmp_path: Path) -> None:
    book = load(tmp_path, GOOD).get("transactions", "book")
    assert book.spec.repeats == "drop"
    assert (book.spec.columns["quantity"].sources, book.column_lines["quantity"]) == (("Units",), 22)
    assert (book.spec.columns["invoice"].sources, book.column_lines["invoice"]) == (("InvoiceNo",), 10)


def test_an_unknown_table_or_source_is_an_error(tmp_path: Path) -> None:
    sources = load(tmp_path, GOOD)
    with pytest.raises(UsageError, match="allowed: transactions"):
        sources.get("visits")
    with pytest.raises(UsageError, match="allowed: till, book"):
        sources.get("transactions", "till-2")


def test_all_faults_are_reported_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = """\
time_zone: Europe/Londinium
tables:
  wishes:
    x: {from: a, columns: {}}
  transactions:
    till:
      from: absent/{day}.csv
      format: {type: csv, delimiter: ';;', encoding: utf-9, decimal: "'"}
      colour: blue
      repeats: maybe
      closed_on: [Caturday, 2025-02-30]
      columns:
        invoice: InvoiceNo
        stock_code: StockCode
        colour: Colour
        unit_price: UnitPrice
        invoiced_at: {from: InvoiceDate, time_zone: Mars, format: '%Y %z'}
      options: {merchandise: '^(', size: '1'}
    till--2:
      from: x.parquet
      format: {type: parquet, delimiter: ';', sheet: Lines}
      columns: {invoice: A, stock_code: B, quantity: C, unit_price: D, invoiced_at: E}
"""
    reported = {line: " | ".join(of) for line, of in faults(tmp_path, text, "transactions").items()}
    expected = {
        1: ["Europe/Londinium", "home_country"],
        3: ["wishes: no such table"],
        7: ["absent does not exist"],
        8: ["delimiter", "utf-9", "decimal"],
        9: ["colour: Extra inputs"],
        10: ["repeats"],
        11: ["closed_on.0", "closed_on.1"],
        12: ["required column 'quantity'"],
        15: ["no column 'colour'"],
        17: ["Mars", "%z"],
        18: ["merchandise is no regular expression", "no option 'size'"],
        19: ["should match pattern"],
        21: ["delimiter, sheet: not a key of the type parquet"],
    }
    assert set(reported) == set(expected)
    for line, parts in expected.items():
        for part in parts:
            assert part in reported[line], (line, part, reported[line])


def test_an_expression_that_only_python_knows_is_a_fault(tmp_path: Path) -> None:
    reported = faults(tmp_path, GOOD.replace("'^A'", "'^(?!POST)'"))[15]
    # Both sources have it from this line.
    assert ["merchandise is no regular expression" in fault for fault in reported] == [True, True]


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("    book:\n", "    till:\n", 16),
        ("        quantity: Units\n", "        quantity: Units\n        quantity: Pieces\n", 23),
        ("home_country: United Kingdom\n", "home_country: United Kingdom\ntime_zone: UTC\n", 3),
    ],
)
def test_a_repeated_key_is_a_fault(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert "the key is repeated" in str(faults(tmp_path, GOOD.replace(old, new))[line])


def test_a_table_needs_a_source(tmp_path: Path) -> None:
    text = "time_zone: UTC\nhome_country: X\ntables:\n  transactions: {}\n"
    assert faults(tmp_path, text) == {4: ["transactions: no source is given"]}
    assert "no source is given" in str(faults(tmp_path, text.replace("{}", ""))[4])


@pytest.mark.parametrize(
    ("mapping", "reported"),
    [
        ("{formula: __import__('os').system('x')}", "is not allowed in a formula"),
        ("{formula: Sales ** 2}", "is not allowed in a formula"),
        ("{formula: Sales.real}", "is not allowed in a formula"),
        ("{formula: Line total / Quantity}", "quote names"),
        ("{formula: 3 * 2}", "names no column"),
        ("{formula: Sales + True}", "neither a number nor a column"),
        (f"{{formula: {'1 + ' * 60} Sales}}", "longer than 200"),
        ("{formula: Sales / Quantity, from: UnitPrice}", "exactly one of from, formula and value"),
        ("{values: {a: b}}", "exactly one of from, formula and value"),
        ("{formula: Sales / Quantity, time_zone: UTC}", "time_zone: only together with from"),
        ("{value: 3, values: {3: 4}}", "values: only together with from"),
        ("{value: ten}", "'ten' is not of the type number"),
        ("{value: ''}", "'' is not of the type number"),
        ("{value: ~}", "value must be"),
        ("{value: [1]}", "value must be"),
    ],
)
def test_formulas_and_constants_that_cannot_be_are_faults(tmp_path: Path, mapping: str, reported: str) -> None:
    at_line_13 = faults(tmp_path, GOOD.replace("unit_price: UnitPrice", f"unit_price: {mapping}"))[13]
    assert any(reported in fault for fault in at_line_13), at_line_13


def test_formulas_and_constants_must_fit_the_column(tmp_path: Path) -> None:
    text = GOOD.replace("invoice: InvoiceNo", "invoice: {formula: A + B}")
    assert "a formula gives numbers, and this is a column of type identifier" in str(faults(tmp_path, text)[10])
    assert load(tmp_path, GOOD.replace("stock_code: StockCode", "stock_code: {value: 12345}"))
    visits = """\
time_zone: UTC
home_country: X
tables:
  visits:
    a: {from: x, columns: {person: P, day: {value: 2025-01-31}, bought: {value: yes}, brand: R, quantity: Q,
        price: {value: 2}}}
"""
    assert faults(tmp_path, visits) == {6: ["visits.a.price: must be a pattern with {brand}, as in Price_{brand}"]}


def test_replacements_are_text_and_null_is_a_missing_value(tmp_path: Path) -> None:
    text = GOOD.replace("quantity: Quantity", "quantity: {from: Quantity, values: {0: 1, yes: 2.5, '': null, x: true}}")
    quantity = load(tmp_path, text).get("transactions").spec.columns["quantity"]
    assert quantity.values == {"0": "1", "yes": "2.5", "": None, "x": "True"}


def test_faults_of_columns_replacements_and_joins_are_reported(tmp_path: Path) -> None:
    text = GOOD.replace("quantity: Quantity", "quantity: {from: [], values: 5}").replace(
        "repeats: drop", "join: {from: 'drops/*.csv', format: {type: doc}}"
    )
    reported = {line: " | ".join(of) for line, of in faults(tmp_path, text).items()}
    for part in ("'drops/*.csv' must name one file", "join.format.type", "join.by"):
        assert part in reported[7], reported
    for part in ("quantity.from", "quantity.values"):
        assert part in reported[12], reported
    visits = """\
time_zone: UTC
home_country: X
tables:
  visits:
    a: {from: x, columns: {person: P, day: D, bought: B, brand: R, quantity: Q, price: [A, B]}}
"""
    assert faults(tmp_path, visits) == {5: ["visits.a.price: ['A', 'B'] must hold {brand} once, as in Price_{brand}"]}


def test_only_the_address_that_is_about_to_be_read_must_exist(tmp_path: Path) -> None:
    (tmp_path / "drops").mkdir()
    load(tmp_path, GOOD, "transactions")
    with pytest.raises(UsageError, match=r"sources.yaml:18: transactions.book: .*book.xlsx does not exist"):
        load(tmp_path, GOOD, "transactions", "book")
    load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("- a\n- b\n", "is empty"),
        ("a: [1\n", "not readable as YAML"),
        ("a: &x 1\nb: *y\n", "not readable as YAML"),
        ("<<: 5\n", "not readable as YAML"),
        ("a: !strange 5\n", "not readable as YAML"),
        ("a: \t\x00", "not readable as YAML"),
    ],
)
def test_other_content_than_a_mapping_is_an_error(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        load(tmp_path, text)


def test_a_file_that_does_not_exist_or_is_no_text_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="AISLE_SOURCES"):
        load_sources(Settings(sources=tmp_path / "absent.yaml"))
    with pytest.raises(UsageError, match="not readable"):
        load_sources(Settings(sources=tmp_path))
    (tmp_path / "latin.yaml").write_bytes("home_country: Österreich".encode("latin-1"))
    with pytest.raises(UsageError, match="not readable"):
        load_sources(Settings(sources=tmp_path / "latin.yaml"))


@pytest.mark.parametrize("file", ["sources.yaml", "examples/open-data/sources.yaml"])
def test_the_mapping_files_of_the_project_are_valid(file: str) -> None:
    sources = load_sources(Settings(sources=Path(__file__).parents[2] / file))
    assert set(sources.spec.tables) == set(CONTRACTS)
    assert all(sources.get(table).spec.columns for table in CONTRACTS)


# Attacks. None may take more work than its length: an exponential one would not end.

LEVELS = range(40)
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in LEVELS)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in LEVELS)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (BOMB, "more than 20,000 values"),
        (MERGES, "more than 20,000 values"),
        ("a: &a [*a]\n", "contains itself"),
        ("a: &a {b: {c: *a}}\n", "contains itself"),
        ("a: &a {<<: *a}\n", "contains itself"),
        ("a: " + "[" * 31 + "]" * 31 + "\n", "nested more than 30 levels"),
        ("a: " + "[" * 5000 + "]" * 5000 + "\n", "nested more than 30 levels"),
        ("a: " + "{b: " * 5000 + "\n", "not readable as YAML"),
        ("".join(f"{' ' * n}a:\n" for n in range(400)), "nested more than 30 levels"),
        ("a0: &a0 x\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(3000)), "nested more than 30 levels"),
        ("? [a, b]\n: c\n", "a key is a list or a mapping"),
        ("x: " + "y" * 200_000, "more than 131,072 characters"),
        ("a: !!python/object/apply:os.system id\n", "not readable as YAML"),
        ("a: *nobody\n", "not readable as YAML"),
        ("a: \x00\n", "not readable as YAML"),
    ],
    ids=[
        *("aliases", "merges", "itself", "itself deeper", "merged with itself", "deep", "very deep", "open braces"),
        *(
            "deep by indents",
            "deep by aliases",
            "key that is a list",
            "long",
            "tag",
            "unknown alias",
            "control character",
        ),
    ],
)
def test_a_document_that_would_cost_too_much_is_refused(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as error:
        load(tmp_path, text)
    assert len(str(error.value)) < 15_000


def test_as_many_levels_and_values_as_a_mapping_may_need_are_read(tmp_path: Path) -> None:
    more = "".join(f"    till-{n}: {{<<: *till, from: drops/{n}.csv}}\n" for n in range(400))
    assert len(load(tmp_path, GOOD + more).spec.tables["transactions"]) == 402


@pytest.mark.parametrize("form", ["%Q", "%", "%d %d", "%Y-%m-%", "%s", "%-d", "%G-%V-%V", "%c %X", "x" * 101])
def test_a_format_that_is_none_is_a_fault(tmp_path: Path, form: str) -> None:
    reported = faults(tmp_path, GOOD.replace("%d/%m/%Y", form))
    assert "is no strptime format" in reported[14][0]


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%G %V", "%Y %m", "%d.%m.%y", "%b %d, %Y", "%Y%m%d%H%M%S", "%Y-%j"])
def test_a_format_that_is_one_is_read(tmp_path: Path, form: str) -> None:
    assert load(tmp_path, GOOD.replace("%d/%m/%Y", form)).get("transactions").spec.columns["invoiced_at"].format == form


@pytest.mark.parametrize("delimiter", ["é", "€", "\\n", "\\r", '\\"', "\\0", "；"], ids=ascii)
def test_a_delimiter_beyond_ascii_or_of_a_meaning_is_a_fault(tmp_path: Path, delimiter: str) -> None:
    text = GOOD.replace("repeats: drop", f'format: {{delimiter: "{delimiter}"}}')
    assert any("cannot separate cells" in fault for fault in faults(tmp_path, text)[7])


@pytest.mark.parametrize("value", ["!!int x", "!!float x", "!!timestamp x", "0x" + "f" * 9000, "2025-02-30"])
def test_a_value_that_its_tag_does_not_fit_is_a_fault_or_an_error(tmp_path: Path, value: str) -> None:
    with pytest.raises(UsageError):
        load(tmp_path, GOOD.replace("quantity: Quantity", f"quantity: {{value: {value}}}"))


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("s3://bucket/{day}.csv", "pip install s3fs=="),
        ("nothing://x/y", "no kind of address"),
        ("drops/**.csv", "stands for any folders"),
        ('"drops/\\x1b.csv"', "a character that cannot be seen"),
        ("absent/x.csv", "does not exist"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_fault(tmp_path: Path, address: str, what: str) -> None:
    reported = faults(tmp_path, GOOD.replace("from: drops/{day}.csv", f"from: {address}"), "transactions")
    assert any(what in fault for fault in reported[6])


@pytest.mark.parametrize(
    "zone", ["''", "Europe", "../../etc/passwd", "/etc/passwd", "é", "x" * 5000], ids=lambda z: z[:9]
)
def test_a_zone_that_is_none_is_a_fault(tmp_path: Path, zone: str) -> None:
    assert "is not a time zone" in faults(tmp_path, GOOD.replace("Europe/London", zone))[1][0]


PIECES = st.sampled_from(
    [
        *GOOD.splitlines(keepends=True),
        "- a\n",
        "a: &a [*a]\n",
        "<<: *till\n",
        "!!bool 7",
        "? [a]\n",
        "{",
        "]",
        '"',
        "%",
        "\t",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=80))
@hypothesis_settings(max_examples=200, deadline=None)
def test_any_text_is_a_mapping_or_an_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with contextlib.suppress(UsageError):
        load(tmp_path_factory.getbasetemp(), text, "transactions")


def test_each_table_has_its_currency_and_the_file_a_locale(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).spec.currencies == {}
    assert load(tmp_path, GOOD).spec.locale == "en"
    of_file = load(tmp_path, f"currency: GBP\nlocale: de_CH\n{GOOD}").spec
    assert (of_file.currencies, of_file.locale) == ({"transactions": "GBP"}, "de_CH")
    of_source = GOOD.replace("repeats: drop", "currency: SEK")
    assert load(tmp_path, f"currency: GBP\n{of_source}").spec.currencies == {"transactions": "SEK"}


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        (f"currency: gbp\n{GOOD}", 1, "currency: 'gbp' is not a currency of ISO 4217 (GBP, EUR, USD, …)"),
        (f"locale: xx\n{GOOD}", 1, "locale: 'xx' is not a locale that CLDR knows (en, de, fr_CH, …)"),
        (GOOD.replace("repeats: drop", "currency: XYZ"), 7, "XYZ' is not a currency"),
        (
            f"currency: GBP\n{GOOD}      currency: EUR\n",
            24,
            "transactions.book: its currency is EUR and that of till GBP, but amounts of one table are added up",
        ),
    ],
)
def test_a_faulty_currency_is_named_with_its_line(tmp_path: Path, text: str, line: int, fault: str) -> None:
    reported = faults(tmp_path, text)
    assert fault in reported[line][0]
