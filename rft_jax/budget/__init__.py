"""How many samples each problem gets: policies, decided as paths come back, and replayed on paths that are there."""
