"""Judging what was trained: pure functions on the store's tables."""
