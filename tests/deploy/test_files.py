"""The image, the compose file and the workflows: valid, pinned, and naming only what exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.compose.initialise import make_folders
from pipeline.monitoring.request_log import PREDICTIONS

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = PROJECT / "docker-compose.yaml"
DOCKERFILE = PROJECT / "Dockerfile"
SERVING_DOCKERFILE = PROJECT / "Dockerfile.serving"
DOCKERFILES = pytest.mark.parametrize("dockerfile", [DOCKERFILE, SERVING_DOCKERFILE], ids=lambda file: file.name)
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
SECRET = re.compile(r"password|secret|key", re.IGNORECASE)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.compose-spec", COMPOSE), *(("vendor.github-workflows", file) for file in WORKFLOWS)],
    ids=lambda value: value.name if isinstance(value, Path) else None,
)
def test_a_file_keeps_its_schema(schema: str, file: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@DOCKERFILES
def test_every_copied_path_exists_and_reaches_the_build(dockerfile: Path) -> None:
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8")
    sent = set(re.findall(r"^!(\S+)$", ignored, re.MULTILINE))
    for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE):
        for path in line.split()[:-1]:
            assert (PROJECT / path).exists(), f"{dockerfile.name} copies {path}, which is not there"
            reaching = {path, *map(str, Path(path).parents)}
            assert reaching & sent, f".dockerignore keeps {path} out of the build; add !{path}"


@DOCKERFILES
def test_the_image_is_pinned_hashed_compiled_and_not_root(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+", image), f"{image} is not pinned to a version"
    assert "--require-hashes" in text
    assert "--compile" in text
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] not in ("root", "0")


def test_images_of_services_are_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        assert re.match(r"\d+\.\d+", tag), f"service {name}: image {service['image']} is not pinned to a version"


def test_images_are_taken_by_digest(services: dict[str, Any]) -> None:
    files = [DOCKERFILE, SERVING_DOCKERFILE]
    images = [image for file in files for image in re.findall(r"^FROM (\S+)", file.read_text(), re.MULTILINE)]
    images += [service["image"] for service in services.values() if "build" not in service]
    for image in images:
        assert re.search(r"@sha256:[0-9a-f]{64}$", image), f"{image} may change; name its digest"


def test_a_container_may_do_no_more_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert name == "postgres" or "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["mem_limit"], name
        assert service["pids_limit"] <= 512, name
        assert any(mount.startswith("/tmp:") for mount in service["tmpfs"]), f"{name} has no place for temporary files"


def test_networks_separate_who_has_nothing_to_say_to_each_other(services: dict[str, Any]) -> None:
    networks = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["networks"]
    assert [name for name, network in networks.items() if not (network or {}).get("internal")] == ["front"]
    of = {name: set(service["networks"]) for name, service in services.items()}
    assert of["postgres"] == {"database"}
    assert not of["serving"] & of["postgres"], "the prediction service needs no database"
    assert {name for name, service in services.items() if service.get("ports")} <= {n for n in of if "front" in of[n]}
    for name, service in services.items():
        for other in service.get("depends_on", {}):
            assert other == "initialise" or of[name] & of[other], f"{name} cannot reach {other}"


def test_mlflow_asks_for_a_password_and_its_clients_know_it(services: dict[str, Any]) -> None:
    server = services["mlflow"]
    assert "--app-name=basic-auth" in server["command"]
    file = PROJECT / str(server["environment"]["MLFLOW_AUTH_CONFIG_PATH"]).removeprefix("/opt/aisle/")
    assert "default_permission = NO_PERMISSIONS" in file.read_text()
    assert "password" not in re.sub(r"#.*", "", file.read_text())
    for name, service in services.items():
        environment = service.get("environment", {})
        if environment.get("AISLE_TRACKING_URI"):
            assert environment["MLFLOW_TRACKING_USERNAME"] == server["environment"]["MLFLOW_AUTH_ADMIN_USERNAME"], name
            assert environment["MLFLOW_TRACKING_PASSWORD"] == server["environment"]["MLFLOW_AUTH_ADMIN_PASSWORD"], name
            assert "AISLE_SIGNING_KEY" in environment, name
    assert "AISLE_SIGNING_KEY" not in server["environment"], "who keeps the models must not be able to sign them"


def test_the_prediction_service_writes_its_log_alone(services: dict[str, Any], tmp_path: Path) -> None:
    home, log = services["serving"]["volumes"]
    assert home == "aisle-home:/var/lib/aisle:ro"
    assert log["target"] == f"/var/lib/aisle/{log['volume']['subpath']}"
    make_folders(tmp_path / "airflow", tmp_path / "home")
    assert (tmp_path / "home" / log["volume"]["subpath"]).is_dir()
    assert log["volume"]["subpath"] == f"lake/{PREDICTIONS}"


def test_the_installer_is_installed_by_its_hash() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for line in re.findall(r"^.*pip install.*$", makefile, re.MULTILINE):
        if "--editable" not in line and not line.startswith(("INSTALL", "TORCH")):
            assert "--require-hashes" in line, line
    locked = (PROJECT / "requirements-uv.txt").read_text()
    assert re.search(r"^uv==[\d.]+ \\\n    --hash=sha256:", locked)
    assert "run: make audit" in WORKFLOWS[0].read_text()


def test_every_service_that_stays_is_watched(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service.get("restart") == "no" or "healthcheck" in service, f"service {name} has no healthcheck"


def test_dependencies_are_services_and_wait_for_health(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert other in services, f"service {name} waits for {other}, which is not there"
            wanted = "service_completed_successfully" if services[other].get("restart") == "no" else "service_healthy"
            assert how["condition"] == wanted


def test_secrets_are_required_and_never_written_down(services: dict[str, Any]) -> None:
    named = set((PROJECT / "deploy/compose/env.example").read_text(encoding="utf-8").replace("=", " ").split())
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            references = re.findall(r"\$\{(\w+)(:\?)?", str(value))
            for reference, required in references:
                assert required, f"service {name}: {reference} may be empty; write ${{{reference}:?…}}"
                assert reference in named, f"{reference} is missing in deploy/compose/env.example"
            if SECRET.search(variable) and not variable.endswith("_FILE"):
                assert references, f"service {name}: {variable} is written down; take it from the environment"


def test_ports_are_open_on_this_host_alone(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"service {name} is open to the network at {port}"


def test_nothing_phones_home(services: dict[str, Any]) -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    for switch in (
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=false",
        "DO_NOT_TRACK=true",
        "MLFLOW_DISABLE_TELEMETRY=true",
        "GX_ANALYTICS_ENABLED=false",
    ):
        assert switch in text


def test_files_that_services_name_exist(services: dict[str, Any]) -> None:
    for name, service in services.items():
        words = [*service.get("command", []), *service.get("healthcheck", {}).get("test", [])]
        mounts = [volume.split(":")[0] for volume in service.get("volumes", []) if str(volume).startswith("./")]
        for word in [word for word in words if word.startswith("deploy/")] + mounts:
            assert (PROJECT / word).exists(), f"service {name} names {word}, which is not there"


AIRFLOW_PARSER = """
import json, sys
from airflow.cli.cli_parser import get_parser
for arguments in json.loads(sys.argv[1]):
    get_parser().parse_args(arguments)
"""
MLFLOW_PARSER = """
import json, sys
from mlflow.cli import cli
for name, *arguments in json.loads(sys.argv[1]):
    cli.commands[name].make_context(name, arguments)
"""


@pytest.mark.parametrize(("program", "parser"), [("airflow", AIRFLOW_PARSER), ("mlflow", MLFLOW_PARSER)])
def test_programs_that_services_run_accept_their_arguments(
    services: dict[str, Any], program: str, parser: str, tmp_path: Path
) -> None:
    lines = [
        words
        for service in services.values()
        for words in (service.get("command", []), service.get("healthcheck", {}).get("test", [])[1:])
    ]
    given = [words[1:] for words in lines if words[:1] == [program]]
    assert given, f"no service runs {program}"
    answer = subprocess.run(
        [sys.executable, "-c", parser, json.dumps(given)],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_a_workflow_is_pinned_and_may_do_little(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for action in re.findall(r"uses: (\S+)", text):
        assert re.search(r"@[0-9a-f]{40}$", action), f"{action} is not pinned to a commit"
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for target in re.findall(r"run: make (\S+)", text):
        assert target in targets, f"{file.name} runs make {target}, which the Makefile does not have"
