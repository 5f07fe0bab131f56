"""Stage 2: upright, downscaled pictures for model and screen, with their caches."""
