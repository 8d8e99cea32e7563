"""The prediction service: FastAPI over the champions. It knows features and models, and no orchestration."""
