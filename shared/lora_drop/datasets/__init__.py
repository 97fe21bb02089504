"""A dataset: its archive, images, captions and parameters, the check and the report. Pure."""
