"""Requests to the services that provide credentials, and their responses, as values."""
