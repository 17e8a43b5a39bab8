"""Requests to the services that give credentials, and their responses, as values."""
