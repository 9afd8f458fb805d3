"""Builders of child objects, one file per kind: plain dicts, equal for equal input."""
