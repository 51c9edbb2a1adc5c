"""Telling of a study: tables, progress, figures; facts first, then drawn."""
