"""The ``lora-drop`` command."""
