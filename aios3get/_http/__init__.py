"""HTTP through aiohttp: connections, permits, timeouts, proxies and exception mapping."""
