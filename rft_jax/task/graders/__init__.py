"""The shipped graders, one file each."""
