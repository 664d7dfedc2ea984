"""The shipped templates, one file each."""
