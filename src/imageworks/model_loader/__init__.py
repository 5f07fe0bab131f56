"""Shared with other Imageworks programs: model registry and batch metrics."""
