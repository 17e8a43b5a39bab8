"""Resolves arguments, environment and profile to one configuration."""
