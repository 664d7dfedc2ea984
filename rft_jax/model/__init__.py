"""The Llama model, where its tensors live, and its Hugging Face form."""
