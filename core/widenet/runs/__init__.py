"""Runs: a folder each, holding the options, metrics, weights, masks and analyses of one procedure on one network."""

from widenet.runs.folders import as_it_stands, find, find_all, folder, listing, note, set_aside, twin
from widenet.runs.lock import check_free, discard, locked, writing
from widenet.runs.run import SCHEMA, Reporter, Run
from widenet.runs.values import flat, jsonable

__all__ = [
    "SCHEMA",
    "Reporter",
    "Run",
    "as_it_stands",
    "check_free",
    "discard",
    "find",
    "find_all",
    "flat",
    "folder",
    "jsonable",
    "listing",
    "locked",
    "note",
    "set_aside",
    "twin",
    "writing",
]
