"""Stage 1: folders in, DiscoveredImage out."""
