"""The Python client of a stack."""
