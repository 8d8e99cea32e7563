"""The command line: `app` assembles it; `data`, `models` and `service` hold its commands."""
