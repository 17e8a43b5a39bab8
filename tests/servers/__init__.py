"""Servers that this project did not write, one that lies, and names and certificates for them."""
