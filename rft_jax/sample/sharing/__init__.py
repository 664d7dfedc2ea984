"""Sharing the work between commands, and what a restart goes on from: files in the folder of paths."""
