"""The prediction service: FastAPI over the champions. It does not depend on Airflow."""
