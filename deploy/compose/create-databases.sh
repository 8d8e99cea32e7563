#!/usr/bin/env bash
# Runs once, when Postgres starts on an empty volume: MLflow has its own database and its own user.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set=ON_ERROR_STOP=1 --set=password="$MLFLOW_PASSWORD" <<'SQL'
CREATE USER mlflow WITH PASSWORD :'password';
CREATE DATABASE mlflow OWNER mlflow;
SQL
