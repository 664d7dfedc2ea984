"""What a run needs and how fast it can be on hardware that is not here, from the compiled programs themselves."""
