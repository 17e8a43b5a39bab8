"""aiohttp: connections, permits, time limits, proxies, and its exceptions in our words."""
