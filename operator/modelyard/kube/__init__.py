"""The operator's own way to the API server: client, cache, queue, Lease, executor of plans."""
