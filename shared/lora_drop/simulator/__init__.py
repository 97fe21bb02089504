"""A fal.ai for one machine: fal's protocol over TLS, a trainer, an independent ledger, and faults."""
