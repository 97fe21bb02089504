"""The stack on one machine. Never ships."""
