"""The pipeline most people would write: S3 to Lambda to fal_client, and a webhook that stores.

Written in good faith, with what the documentation of Powertools and fal shows, and measured beside
lora-drop by ``python -m benchmarks.baseline``. Not a part of the product.
"""
