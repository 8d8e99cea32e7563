# One image for every Airflow component and for MLflow's server: the same locked set that the tests ran with.

FROM python:3.11.13-slim-bookworm@sha256:86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1 AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# The lock first: it changes far less often than the code, so this layer is mostly reused.
COPY requirements.txt /build/requirements.txt
RUN pip install --require-hashes --no-deps --compile -r /build/requirements.txt
COPY pyproject.toml README.md /build/
COPY pipeline /build/pipeline
COPY expectations /build/expectations
COPY sources.yaml /build/sources.yaml
RUN pip install --no-deps --no-index --no-build-isolation --compile /build

FROM python:3.11.13-slim-bookworm@sha256:86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1
# LightGBM's threads.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 50000 --create-home --home-dir /home/aisle aisle \
    && install --directory --mode 700 --owner aisle --group aisle /opt/airflow /var/lib/aisle
COPY --from=build /opt/venv /opt/venv
COPY dags /opt/aisle/dags
COPY plugins /opt/aisle/plugins
COPY expectations /opt/aisle/expectations
COPY sources.yaml /opt/aisle/sources.yaml
COPY deploy/compose /opt/aisle/deploy/compose
RUN ["/opt/venv/bin/python", "-m", "compileall", "-q", "/opt/aisle/dags"]

# OMP_WAIT_POLICY: LightGBM's threads sleep while they wait for each other; where tasks share the cores, waiting busily
# triples the processor time of training (docs/store-sales.md).
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=passive \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/aisle/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/aisle/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED=false \
    AISLE_HOME=/var/lib/aisle \
    AISLE_SOURCES=/opt/aisle/sources.yaml \
    AISLE_EXPECTATIONS=/opt/aisle/expectations \
    DO_NOT_TRACK=true \
    MLFLOW_DISABLE_TELEMETRY=true \
    GX_ANALYTICS_ENABLED=false
WORKDIR /opt/aisle
USER 50000
CMD ["airflow", "version"]
