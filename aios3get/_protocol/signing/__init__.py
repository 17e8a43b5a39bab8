"""SigV4 and SigV4A signatures, in headers and in presigned URLs."""
