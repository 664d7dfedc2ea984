"""Problems, prompts, grading, equations and the selector: pure Python, no accelerator, no JAX."""
