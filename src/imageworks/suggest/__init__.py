"""Stage 4: answer text in, Suggestion out."""
