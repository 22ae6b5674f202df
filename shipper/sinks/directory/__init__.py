"""The archive on a disk."""
