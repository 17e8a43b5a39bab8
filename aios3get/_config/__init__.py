"""Arguments, environment and profile resolved to one configuration."""
