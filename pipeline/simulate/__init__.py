"""Simulated shops whose true parameters are known, so that estimates can be compared with them."""
