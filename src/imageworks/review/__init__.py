"""Stage 5: the rules of reviewing, without a screen."""
