"""Attacks on a running installation: `python -m benchmarks.attack`."""
