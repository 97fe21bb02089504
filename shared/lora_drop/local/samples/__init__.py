"""Datasets to try lora-drop with."""
