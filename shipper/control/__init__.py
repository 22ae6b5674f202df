"""What people ask of a running daemon: a socket beside its buffer, and the commands that use it."""
