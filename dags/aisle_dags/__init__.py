"""Code that the DAG files share: conventions, the days of a run, how a task calls the library, and the kinds of DAG."""
