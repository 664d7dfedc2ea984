"""Training: the loss, the optimizer, one step, checkpoints, metrics, and the loop that tells their story."""
