"""The command ``wn``."""
