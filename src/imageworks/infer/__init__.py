"""Stage 3: asks a model about a prepared picture."""
