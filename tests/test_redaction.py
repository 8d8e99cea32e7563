"""No password of an address is shown: not by the doctor, in an error, a log line, a page or an answer."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.doctor import examine
from pipeline.errors import AisleError
from pipeline.ingestion.sources import load_sources
from pipeline.lake.tables import Lake
from pipeline.logs import log_event, log_to_stderr
from pipeline.redaction import MIN_LENGTH, redact, remember, remembered, secrets_of
from pipeline.reports.page import Section, Table, write_page
from pipeline.serving.log_config import RedactingJsonFormatter
from pipeline.settings import Settings, load_settings
from tests.serving.helpers import running

ROOT = Path(__file__).resolve().parents[1]
PASSWORD = "pl4nted-Passw0rd"
ADDRESS = f"postgresql://aisle:{PASSWORD}@127.0.0.1:1/mlflow"
PLANTED: dict[str, Any] = {
    "tracking_uri": ADDRESS,
    "tracking_uri, a server": f"http://aisle:{PASSWORD}@127.0.0.1:1",
    "tracking_uri, in its query": f"postgresql://127.0.0.1:1/mlflow?user=aisle&password={PASSWORD}",
    "tracking_uri, of no known kind": f"nonsense://aisle:{PASSWORD}@127.0.0.1:1",
    "artifacts": f"ftp://aisle:{PASSWORD}@127.0.0.1:1/models",
    "home": f"ftp://aisle:{PASSWORD}@127.0.0.1:1/home",
    "home, a bucket": f"s3://aisle:{PASSWORD}@bucket/home",
    "data": f"s3://aisle:{PASSWORD}@bucket/landing",
    "sources": f"https://aisle:{PASSWORD}@127.0.0.1:1/sources.yaml",
    "expectations": f"https://aisle:{PASSWORD}@127.0.0.1:1/expectations",
    "storage_options": {"AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_ENDPOINT_URL": f"http://a:{PASSWORD}@127.0.0.1:1"},
}
"""Setting -> a value with the password, for each setting that may hold one."""


def changed(settings: Settings, case: str) -> Settings:
    return Settings(**{**settings.model_dump(), case.split(",")[0]: PLANTED[case]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg2://u:pw@h:5432/db?x=1", "postgresql+psycopg2://***@h:5432/db?x=1"),
        ("see https://token@h/p, then", "see https://***@h/p, then"),
        ("'s3://key:pw@bucket/a b'", "'s3://***@bucket/a b'"),
        ("redis://:pw@h", "redis://***@h"),
        ("sqlite:/u:pw@h", "sqlite:/***@h"),
        ("simplecache::https://u:pw@h/f", "simplecache::https://***@h/f"),
        ("http://u:p@w@h/", "http://***@h/"),
        ("http://u:p/w?#'<@h/", "http://***@h/"),
        ("http://u:[pw@h/", "http://***@h/"),
        ("one http://u:pw@h two http://v:wp@i", "one http://***@h two http://***@i"),
        ("host=h user=u password=pw dbname=d", "host=h user=u password=*** dbname=d"),
        ("https://h/f?X-Amz-Signature=abc&x=1", "https://h/f?X-Amz-Signature=***&x=1"),
        ("{'AWS_SECRET_ACCESS_KEY': 'abc', 'region': 'eu'}", "{'AWS_SECRET_ACCESS_KEY': '***', 'region': 'eu'}"),
        # What holds no password stays as it is.
        ("http://h:8080/p@v1?q=a@b", "http://h:8080/p@v1?q=a@b"),
        ("abfss://container@account.dfs.core.windows.net/p", "abfss://container@account.dfs.core.windows.net/p"),
        ("write to a@b.example at 10:30", "write to a@b.example at 10:30"),
        ("gs://bucket/day=2025-01-01/token.csv", "gs://bucket/day=2025-01-01/token.csv"),
        ("unexpected token: x", "unexpected token: x"),
        ("", ""),
    ],
    ids=range(19),
)
def test_what_is_hidden_and_what_is_not(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(shown) == shown


def test_a_long_text_takes_a_time_that_grows_with_its_length() -> None:
    """Each would take minutes if the time grew with the square."""
    for text in ("a" * 200_000, "a:/b:" * 40_000, "secret" * 30_000, "http://" * 30_000, "http://u:" * 20_000):
        assert redact(text) == text


def test_a_remembered_password_is_hidden_wherever_it_stands_and_however_it_is_written() -> None:
    remember(secrets_of("postgresql://u:s%40lt-and-pepper@h") | {"short"})
    assert redact("the password s@lt-and-pepper is wrong; s%40lt-and-pepper") == "the password *** is wrong; ***"
    assert all(len(secret) >= MIN_LENGTH for secret in remembered())
    assert redact("short") == "short"


@pytest.mark.parametrize("case", PLANTED)
def test_a_setting_is_shown_by_nothing(case: str, shop: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    settings = changed(shop, case)
    texts = [repr(settings), str(settings)]
    findings = examine(lambda: settings)
    texts += [f.detail for f in findings]
    for step in (Lake, load_sources, lambda s: Lake(s).write_blob("a.txt", b""), lambda s: s.mlflow_uri):
        try:
            texts.append(redact(step(settings)))
        except AisleError as error:
            texts += [str(error), repr(error), str(vars(error))]
        except Exception as error:  # noqa: BLE001 (whatever a library says)
            texts.append(redact(error))
    logger = logging.getLogger("pipeline.test_redaction")
    log_to_stderr("INFO")
    try:
        log_event(logger, "seen", settings=settings, address=PLANTED[case])
        logger.warning("%s %s", settings.home, PLANTED[case], exc_info=ValueError(str(PLANTED[case])))
    finally:
        logging.getLogger("pipeline").handlers = [logging.NullHandler()]
    out, err = capsys.readouterr()
    assert "seen" in err
    assert [text for text in (*texts, out, err) if PASSWORD in text] == []


def test_an_address_in_sources_yaml_is_shown_by_nothing(shop: Settings) -> None:
    file: Path = shop.sources
    file.write_text(file.read_text().replace("from: files/*", f"from: ftp://u:{PASSWORD[::-1]}@127.0.0.1:1/a/*"))
    findings = {f.what: f.detail for f in examine(lambda: shop)}
    assert "source files of transactions" in findings
    assert PASSWORD[::-1] not in json.dumps(findings)


def test_pages_and_errors_and_json_log_lines_show_no_password(shop: Settings) -> None:
    lake = Lake(shop)
    path = write_page(lake, "a", ADDRESS, ADDRESS, [Section(ADDRESS, [ADDRESS], Table((ADDRESS,), [(ADDRESS,)]))])
    page = lake.path(path).read_text()
    assert "postgresql://***@127.0.0.1" in page
    assert PASSWORD not in page
    error = AisleError(ADDRESS, where=ADDRESS, observed=[ADDRESS], allowed=ADDRESS, todo=ADDRESS)
    assert PASSWORD not in str(error) + error.what + error.where + error.todo + str(error.allowed)
    record = logging.makeLogRecord({"msg": "at %s", "args": (ADDRESS,), "fields": {"address": ADDRESS}})
    record.exc_info = (ValueError, ValueError(ADDRESS), None)
    line = RedactingJsonFormatter("%(message)s").format(record)
    assert json.loads(line)["fields"] == {"address": "postgresql://***@127.0.0.1:1/mlflow"}
    assert PASSWORD not in line


def test_the_command_line_shows_no_password(monkeypatch: pytest.MonkeyPatch, shop: Settings) -> None:
    monkeypatch.setenv("AISLE_HOME", shop.home)
    monkeypatch.setenv("AISLE_SOURCES", str(shop.sources))
    monkeypatch.setenv("AISLE_TRACKING_URI", f"nonsense://aisle:{PASSWORD}@127.0.0.1:1")
    for arguments in (["doctor"], ["doctor", "--json"], ["models"]):
        result = CliRunner().invoke(app.app, arguments)
        shown = result.output + (str(result.exception) if isinstance(result.exception, AisleError) else "")
        assert result.exit_code
        assert PASSWORD not in shown
    assert PASSWORD in load_settings().tracking_uri


def test_a_traceback_shows_no_password() -> None:
    code = f"import sys; from pipeline.cli import app; app.app = lambda **_: 1 / len('') + {ADDRESS!r}; app.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.parametrize("case", [case for case in PLANTED if case.startswith(("tracking", "artifacts"))])
def test_no_answer_of_the_service_shows_a_password(
    case: str, empty_home: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The registry does not answer, or answers with what holds the address."""

    def broken() -> Any:
        raise ConnectionError(f"could not connect to {PLANTED[case]}")

    with running(changed(empty_home, case), registry=broken) as client:
        answers = [client.get(path) for path in ("/health/ready", "/health/live", "/model", "/metrics", "/")]
        reloaded = client.post("/reload")
        refused = client.post("/footfall", json={"rows": [{"visitors": 1}]})
    assert refused.status_code == 503
    shown = [answer.text for answer in (*answers, reloaded, refused)]
    shown += [RedactingJsonFormatter("%(message)s").format(record) for record in caplog.records]
    assert [text for text in shown if PASSWORD in text] == []


def test_health_says_nothing_of_the_inside(empty_home: Settings) -> None:
    def broken() -> Any:
        raise FileNotFoundError(f"No such file: {empty_home.home}/mlflow.db")

    with running(empty_home, registry=broken) as client:
        answer = client.get("/health/ready")
        client.post("/reload")
        assert client.get("/health/ready").json()["ready"] is False
    assert answer.status_code == 503
    assert empty_home.home not in answer.text


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow tries again for minutes where nothing answers."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("mlflow.store.db.utils.MAX_RETRY_COUNT", 0)


@pytest.fixture
def shop(till: Any, empty_mlflow: Path) -> Settings:
    """Settings of a shop whose registry is ready."""
    settings: Settings = till.settings
    settings.home_path.mkdir()
    shutil.copy(empty_mlflow, settings.home_path / "mlflow.db")
    return settings


@pytest.fixture
def empty_home(tmp_path: Path) -> Settings:
    """Settings of a home that does not exist."""
    return Settings(home=str(tmp_path / "home"), code_version="abc123")
