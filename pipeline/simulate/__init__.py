"""Shops that do not exist, with known truths planted in them."""
