"""The shell: sockets, files, clocks and tasks around the protocol core."""
