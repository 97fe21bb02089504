"""The `lora-drop` command and the Python client behind it."""
