"""What a network's layers put out: streamed batch by batch, or kept in the run's folder for any analysis to read."""

from widenet.capture.kept import Captured
from widenet.capture.readout import ReadOut, layers_or_readout, readout
from widenet.capture.stream import INPUT, Batch, Reduction, matching, reduced, stream
from widenet.capture.wanted import Wanted
from widenet.capture.writing import capture, size_of

__all__ = [
    "INPUT",
    "Batch",
    "Captured",
    "ReadOut",
    "Reduction",
    "Wanted",
    "capture",
    "layers_or_readout",
    "matching",
    "readout",
    "reduced",
    "size_of",
    "stream",
]
