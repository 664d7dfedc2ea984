"""The paper's experiments: its figures, and the stages that repeat them at three sizes."""
