"""Method ``selectivity-finetune``: training on with a loss that raises or lowers how selective units are for classes.

Sources: Leavitt and Morcos 2020 (with the opposite sign of alpha); the original's second code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from widenet.capture import listening, matching, stream
from widenet.errors import UsageError
from widenet.train import fit
from widenet_decompose.config import SelectivityFinetune
from widenet_decompose.measures import class_means, selectivity_index
from widenet_decompose.selectivity import rectified


def mean_selectivity(outputs: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Selectivity index, a mean over units and then layers, of a batch: a differentiable scalar.

    Outputs (n, units, ...) are summed over places; classes that the batch lacks do not count.
    """
    summed = [output.float().flatten(2).sum(2) if output.ndim > 2 else output.float() for output in outputs]
    return torch.stack([selectivity_index(class_means(each, labels)).mean() for each in summed]).mean()


def carry_out(run: Any, net: Any, data: Any, config: SelectivityFinetune) -> dict[str, Any]:
    """Train with ``cross-entropy + alpha * selectivity`` of the layers; the metrics have ``train/selectivity``.

    Raises:
        UsageError: no such layer, or the network has no ReLU and none is named.
    """
    paths = matching(net, config.layers) if config.layers else rectified(net)
    if not paths:
        raise UsageError("the network has no ReLU whose selectivity could count; name layers with --layers")
    if inputs := [path for path in paths if path.endswith(":input")]:
        raise UsageError(f"--layers {inputs[0]}: only what a layer puts out is regularised; leave :input out")
    sums = torch.zeros(2)

    _check(net, data, paths)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        selectivity = mean_selectivity([outputs[path] for path in paths], labels)
        sums.add_(torch.tensor([float(selectivity.detach()), 1.0]))
        return F.cross_entropy(logits, labels, label_smoothing=config.label_smoothing) + config.alpha * selectivity

    def also(values: Any) -> dict[str, float]:
        mean = float(sums[0] / sums[1].clamp(min=1))
        sums.zero_()
        return {"train/selectivity": mean}

    selectivity = 0.0
    with listening(net, paths) as outputs:
        for epoch in fit(run, net, data, config, loss=loss, also=also):
            selectivity = epoch.values["train/selectivity"]
    return {"layers": len(paths), "alpha": config.alpha, "selectivity": selectivity}


def _check(net: nn.Module, data: Any, paths: Sequence[str]) -> None:
    """Refuse layers of which the index means nothing, by a few samples.

    Raises:
        UsageError: a layer is not called, puts out no tensor, or negative values.
    """
    found = next(stream(net, data.test, paths, "none", batch_size=8)).layers
    if negative := [path for path, output in found.items() if output.min() < 0]:
        raise UsageError(f"layer {negative[0]} puts out negative values, of which selectivity means nothing; name its ReLU")
