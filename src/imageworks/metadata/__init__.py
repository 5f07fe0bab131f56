"""Stage 6: the only door to a user's files: read, map, merge, prove, write."""
