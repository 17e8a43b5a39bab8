"""Signature Version 4 and 4A, in headers and in presigned URLs."""
