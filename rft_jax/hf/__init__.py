"""Llama models and their relatives to and from Hugging Face folders."""
