"""The morning page: what changed, what is wrong, and what to do about it."""
