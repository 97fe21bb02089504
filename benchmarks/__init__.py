"""Measurements of speed and memory; they import no tests."""
