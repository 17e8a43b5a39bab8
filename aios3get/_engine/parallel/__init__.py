"""Many requests for one read: downloads, ordered streams, ranges and a seekable reader."""
