"""The Llama model and its relatives, and where their tensors live."""
