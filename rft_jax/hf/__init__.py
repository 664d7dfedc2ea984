"""Llama models to and from Hugging Face folders."""
