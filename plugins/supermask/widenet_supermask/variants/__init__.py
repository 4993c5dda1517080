"""The variants of a supermask, one to a file."""
