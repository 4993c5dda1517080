"""What a network's layers put out: streamed batch by batch, or kept in the run's folder for any analysis to read."""

from widenet.capture.kept import Captured
from widenet.capture.readout import ReadOut, layers_or_readout, readout
from widenet.capture.stream import INPUT, Batch, Reduction, glance, listening, matching, reduced, stream
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
    "glance",
    "layers_or_readout",
    "listening",
    "matching",
    "readout",
    "reduced",
    "size_of",
    "stream",
]
