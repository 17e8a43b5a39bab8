"""Real S3 servers, a scripted one, and names and certificates for them."""
