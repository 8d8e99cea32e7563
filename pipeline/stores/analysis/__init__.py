"""Analyses of store days for the stores' page, one module per theme: each measures in the engine and writes a section.

Sentences are built from the figures. Where the data do not allow a statement, the section says so.
"""
