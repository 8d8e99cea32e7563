"""The sections of the shoppers page, one module per topic."""
