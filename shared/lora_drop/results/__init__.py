"""The result files: safetensors, validation, checksums. Pure."""
