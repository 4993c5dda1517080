"""Runs on one HTML page that needs nothing else: no network, no other file, no scripting."""

from widenet.report.writing import page

__all__ = ["page"]
