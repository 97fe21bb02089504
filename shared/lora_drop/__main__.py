"""``python -m lora_drop`` is the `lora-drop` command."""

from lora_drop.cli.main import main

main()
