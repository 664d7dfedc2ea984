"""What is wrong with the machines, the folders and the fit of a run, before it begins."""
