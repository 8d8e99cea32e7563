"""What the DAG files share: conventions, assets, the days of a run, and how a task calls the library."""
