"""What the paths of a round of RFT show, beside the rounds before, and whether to go on. No JAX."""
