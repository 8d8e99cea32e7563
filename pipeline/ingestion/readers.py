"""A delivery's bytes as rows of text: CSV, XLSX and Parquet, plain, gzipped or in a zip archive.

Every file format is read as text, so that the same rows give the same table whatever format they came in; types are
given by `pipeline.ingestion.mapping`. A fault of the whole delivery raises `RefusedError`; a fault of one row is
reported with the row.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib

from pipeline.errors import RefusedError
from pipeline.ingestion.csv_reader import read_csv
from pipeline.ingestion.parquet_reader import read_parquet
from pipeline.ingestion.rows import Rows, empty_delivery, refuse_repeated_columns
from pipeline.ingestion.source_schema import Format
from pipeline.ingestion.xlsx_reader import read_xlsx


def read_rows(data: bytes, name: str, form: Format) -> Rows:
    """Read a delivery.

    Args:
        data: its bytes as they were landed.
        name: its file name, for messages and to recognise `.gz` and `.zip`.
        form: its file format as `sources.yaml` describes it.

    Raises:
        RefusedError: if it is empty, truncated, has another encoding or delimiter than described, a column twice,
            is a workbook of several sheets of which none is named, or a zip archive of several files.
    """
    if name.endswith(".zip"):
        data, name = _unzip(data, name)
    if name.endswith(".gz"):
        data = _decompress(data, name)
    if not data.strip():
        raise empty_delivery(name, f"{len(data)} bytes")
    match form.type:
        case "csv":
            rows = read_csv(data, name, form)
        case "xlsx":
            rows = read_xlsx(data, name, form.sheet)
        case "parquet":
            rows = read_parquet(data, name)
    refuse_repeated_columns(rows.table.column_names, name)
    if rows.total_rows == 0:
        raise RefusedError(
            "The delivery has a header and no rows",
            where=name,
            observed="0 rows",
            allowed="at least one row",
            todo="ask the source to send it again; if the shop was shut, add the weekday to closed_on in sources.yaml",
        )
    return rows


def _unzip(data: bytes, name: str) -> tuple[bytes, str]:
    """The only file in a zip archive, and its name."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [info for info in archive.infolist() if not _is_clutter(info)]
            if len(files) != 1:
                raise RefusedError(
                    "The zip archive does not hold exactly one file",
                    where=name,
                    observed=", ".join(info.filename for info in files) or "no file",
                    allowed="one file",
                    todo="deliver the files one by one, or unpack it and name the wanted file in sources.yaml",
                )
            return archive.read(files[0]), f"{name}/{files[0].filename}"
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # RuntimeError is what zipfile raises for an encrypted file.
        raise RefusedError(
            "The zip archive is damaged, encrypted or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again, without a password",
        ) from error


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Whether an entry of an archive is a folder, or a hidden file as macOS adds them."""
    parts = info.filename.split("/")
    return info.is_dir() or "__MACOSX" in parts or parts[-1].startswith(".")


def _decompress(data: bytes, name: str) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RefusedError(
            "The gzip file is damaged or ends early",
            where=name,
            observed=str(error),
            todo="ask the source to send it again",
        ) from error
