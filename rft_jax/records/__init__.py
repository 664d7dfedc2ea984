"""What passes between the stages: problems, paths, JSON lines, data sets of the hub. No JAX."""
