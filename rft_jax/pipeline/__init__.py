"""The whole loop: each stage in its own process, skipped if done and resumed if it was killed."""
