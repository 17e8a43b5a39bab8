"""Bucket names and ARNs resolved to endpoints."""
