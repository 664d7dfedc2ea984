"""This project, its peers and the limit, side by side in one run."""
