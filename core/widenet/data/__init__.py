"""Data in the form training wants it: splits that hand out batches on the device.

A data set is a :class:`Data`: named splits over one input shape. Small sets are :class:`Images`, one uint8 (or float32)
tensor on the device, augmented there a batch at a time with an offset and a flip per sample. Large ones are
:class:`Files`, an image folder read by DataLoader workers. Both have ``len``, ``to`` and ``batches``.
"""

from widenet.data.disk import Files
from widenet.data.images import Images, channel_statistics, crop_and_flip
from widenet.data.splits import PROCESSORS, Cut, Data, Split, balanced, cuts

__all__ = [
    "PROCESSORS",
    "Cut",
    "Data",
    "Files",
    "Images",
    "Split",
    "balanced",
    "channel_statistics",
    "crop_and_flip",
    "cuts",
]
