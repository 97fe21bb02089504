"""What the functions have in common, and all that ships besides them."""
