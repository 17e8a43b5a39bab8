"""The protocol core: pure functions and values, without await, sockets, files or clocks."""
