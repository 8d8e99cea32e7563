"""What the store days say, a theme a file: each measures in the engine and makes its part of the page.

Sentences are made from the figures, so they change when the data do, and say so when the data say nothing.
"""
