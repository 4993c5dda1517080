"""Is no Python."""

def methods(
