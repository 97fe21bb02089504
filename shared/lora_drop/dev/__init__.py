"""Generators of the docs. Never installed with the wheel."""
