"""The selection of ``select`` in PyTorch alone: what runs on a CPU, and the reference for the Triton form.

The bits of a non-negative float, read as an integer, order like the float. So the threshold is found by counting the
leading bits of ``|scores|`` in a histogram and then looking only at the members of the one bin that holds the wanted
rank. Several tensors are one selection with one histogram; each is swept where it lies.
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from widenet.kernels import _bits
from widenet.kernels._bits import FORMATS, INTEGERS, flat, flat_index, histogram, magnitudes, ranked, zeros

Part = tuple[Tensor, ...]  # scores and the mask to fill, or those with the masked weight to fill and the weight


class Hint:
    """Where the last threshold lay: a first guess at the next one, from scores that have changed a little since.

    A right guess saves a pass over the scores, a wrong one costs one; neither changes the result.
    """

    digit: int | None = None

    def __init__(self) -> None:
        self._alone: dict[int, Hint] = {}

    def alone(self, index: int) -> "Hint":
        """The hint for one tensor of a group, for when its floor alone decides."""
        return self._alone.setdefault(index, Hint())


class Line:
    """A part in one dimension, in the memory order of its dense scores; what lies otherwise is lent as a copy."""

    above: int  # this many of the scores lie in the bins above the one swept for,
    places: Tensor  # here, in memory order, lie those in it,
    keys: Tensor  # and these are their magnitudes

    def __init__(self, scores: Tensor, mask: Tensor, *masked: Tensor, floor: int = 0) -> None:
        self.scores, self.bits, self.floor = scores, flat(scores), floor
        self._given = (mask, *masked)
        self._near = [
            t if t.stride() == scores.stride() else torch.empty_like(scores, dtype=t.dtype).copy_(t) for t in self._given
        ]
        self.mask, *self.masked = (flat(tensor) for tensor in self._near)

    def sweep(self, digit: int, shift: int) -> None:
        """Keep what lies in the bins above ``digit`` and drop the rest; find what that bin holds, for a closer look."""
        edge = torch.tensor(digit, dtype=self.bits.dtype, device=self.bits.device)
        sign = torch.iinfo(self.bits.dtype).bits - 1
        places, self.above = [], 0
        for here, keys in magnitudes(self.bits):
            torch.sub(edge, keys.bitwise_right_shift_(shift), out=keys)
            places.append(zeros(keys).add_(here.start))
            kept = keys.bitwise_right_shift_(sign)  # all ones, or 0: comparing and multiplying by bools is slower
            self.mask[here].copy_(kept)
            self.above += int(self.mask[here].count_nonzero())
            if self.masked:
                out, weight = self.masked
                torch.bitwise_and(weight[here], kept, out=out[here])
        self.places = torch.cat(places)

    def look(self) -> None:
        """Read the members of the bin; those the floor keeps whatever the rest of the group is get the highest key."""
        most = torch.iinfo(self.bits.dtype).max
        self.keys = self.bits.index_select(0, self.places).bitwise_and_(most)
        if self.floor > self.above:
            kept, _ = self.winners(*ranked(self.keys, len(self.keys) - (self.floor - self.above)))
            self.keys.masked_fill_(kept, most)

    def winners(self, value: int, spare: int) -> tuple[Tensor, int]:
        """Mark the members from ``value`` on, but for ``spare`` equals of lowest flat index; return how many those lack."""
        kept = self.keys >= value
        if spare:
            equal = (self.keys == value).nonzero().squeeze(1)
            index = flat_index(self.places[equal], self.scores)
            lost = min(spare, len(equal))
            if lost:
                kept[equal[index <= index.kthvalue(lost).values]] = False
            spare -= lost
        return kept, spare

    def finish(self, kept: Tensor) -> None:
        """Keep the marked members of the bin too, and return what was lent."""
        places = self.places[kept]
        self.mask.index_fill_(0, places, 1)
        if self.masked:
            out, weight = self.masked
            out.index_copy_(0, places, weight.index_select(0, places))
        self.hand_back()

    def hand_back(self) -> None:
        """Copy what was filled to where it was asked for."""
        for tensor, copy in zip(self._given[:2], self._near[:2], strict=True):  # the third, the weight, is only read
            if copy is not tensor:
                tensor.copy_(copy)


def select_torch(parts: Sequence[Part], keep: int, floors: Sequence[int], hint: Hint | None = None) -> None:
    """Keep so many scores of all parts together, and at least its floor of each.

    The scores are of one dtype in ``FORMATS``, no part is empty, and 0 < ``keep``, ``sum(floors)`` <= ``keep``.

    What the floors leave of ``keep`` goes to the largest scores of all that no floor keeps. If ``c`` scores of a part lie
    above the threshold of those, the part keeps ``max(floor, c)``. The sum of that over the parts falls as the threshold
    rises, so the bin of the threshold follows from the parts' histograms, and nothing has to be tried.
    """
    if sum(scores.numel() for scores, *_ in parts) <= _bits.SMALL and parts[0][0].is_cpu:
        _select_few(parts, keep, floors)
        return
    alone: Sequence[int] = range(len(parts))
    if sum(floors) < keep:
        lines = [Line(_dense(scores), *rest, floor=floor) for (scores, *rest), floor in zip(parts, floors, strict=True)]
        _sweep_bin(lines, keep, hint)
        alone = [i for i, line in enumerate(lines) if line.above + len(line.places) < line.floor]
        _look_closer([line for i, line in enumerate(lines) if i not in alone], keep - sum(floors[i] for i in alone))
    for i in alone:  # all above the threshold is kept by the floor
        select_torch([parts[i]], floors[i], [0], hint and hint.alone(i))


def _dense(scores: Tensor) -> Tensor:
    return scores if torch.empty_like(scores, device="meta").stride() == scores.stride() else scores.contiguous()


def _sweep_bin(lines: list[Line], keep: int, hint: Hint | None) -> None:
    """Find the bin of the threshold and sweep for it."""
    bits, infinity = lines[0].bits, FORMATS[lines[0].scores.dtype]
    shift = torch.iinfo(bits.dtype).bits - 16
    guess = None if hint is None else hint.digit
    if guess is not None and guess < infinity >> shift and _swept(lines, guess, shift, keep):
        return
    digit = _threshold_bin(lines, shift, keep)
    if digit >= infinity >> shift:  # NaNs, of which there are many, may lie in several bins: make them one
        for line in lines:
            line.bits = (line.bits & torch.iinfo(bits.dtype).max).clamp_(max=infinity + 1)
        digit = _threshold_bin(lines, shift, keep)
    elif hint is not None:
        hint.digit = digit
    swept = _swept(lines, digit, shift, keep)
    assert swept, "the histogram has found the bin"


def _swept(lines: list[Line], digit: int, shift: int, keep: int) -> bool:
    """Sweep for this bin; return whether the threshold lies in it."""
    for line in lines:
        line.sweep(digit, shift)
    least = sum(max(line.floor, line.above) for line in lines)
    most = sum(max(line.floor, line.above + len(line.places)) for line in lines)
    return least < keep <= most


def _threshold_bin(lines: list[Line], shift: int, keep: int) -> int:
    """Return the lowest bin that cannot be dropped, with all below it, if ``keep`` scores are to be kept."""
    drop = sum(len(line.bits) for line in lines) - keep
    if any(line.floor for line in lines):
        dropped = functools.reduce(torch.add, (_droppable(line, shift) for line in lines))
    else:
        dropped = histogram([line.bits for line in lines], 0, shift).cumsum(0)
    return int(torch.searchsorted(dropped, drop, right=True))


def _droppable(line: Line, shift: int) -> Tensor:
    """Count for each of all the bins what a line drops if all up to that bin is dropped but for the floor."""
    return histogram([line.bits], 0, shift, bins=1 << 15).cumsum(0).clamp_(max=len(line.bits) - line.floor)


def _look_closer(lines: list[Line], keep: int) -> None:
    """Choose among the members of the bin, so that ``keep`` scores are kept with those above it."""
    for line in lines:
        line.look()
    rank = sum(line.above + len(line.keys) for line in lines) - keep
    value, spare = ranked(torch.cat([line.keys for line in lines]), rank)
    for line in lines:
        kept, spare = line.winners(value, spare)
        line.finish(kept)


def _select_few(parts: Sequence[Part], keep: int, floors: Sequence[int]) -> None:
    """Select from few scores, where the number of calls is what takes time."""
    keys = []
    for (scores, *_), floor in zip(parts, floors, strict=True):
        bits = flat(scores.contiguous())
        most = torch.iinfo(bits.dtype).max
        keys.append((bits & most).clamp_(max=FORMATS[scores.dtype] + 1))
        if floor:
            keys[-1].masked_fill_(_largest(keys[-1], floor), most)
    if len(keys) == 1:
        marks: Sequence[Tensor] = [_largest(keys[0], keep)]
    else:
        marks = _largest(torch.cat(keys), keep).split([len(part) for part in keys])
    for (_, mask, *masked), kept in zip(parts, marks, strict=True):
        mask.copy_(kept.view(mask.shape))
        if masked:
            out, weight = masked
            integer = INTEGERS[weight.itemsize]
            ones = kept.view(torch.int8).neg().view(mask.shape)  # all ones, or 0
            torch.bitwise_and(weight.view(integer), ones, out=out.view(integer))


def _largest(keys: Tensor, keep: int) -> Tensor:
    """Mark so many of the largest keys, of equals the last."""
    value = keys.kthvalue(len(keys) - keep + 1).values
    kept = keys >= value
    surplus = int(kept.count_nonzero()) - keep
    if surplus:
        kept[(keys == value).nonzero()[:surplus]] = False
    return kept
