"""Needs a library that is not installed."""

import nowhere_to_be_found  # noqa: F401
