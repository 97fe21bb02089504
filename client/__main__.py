"""``python -m client`` is the `lora-drop` command."""

from client.cli import main

main()
