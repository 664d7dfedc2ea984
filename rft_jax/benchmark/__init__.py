"""Side by side in one run: this project, its peers, and the machine's limit."""
