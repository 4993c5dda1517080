"""``wn run supermask-import``: a finished run from a checkpoint of the paper's code, or from a seed file; nothing is trained.

Those checkpoints hold ``<layer>.weight`` and ``<layer>.scores`` under the names that the networks have here; what is linear
here is a 1x1 convolution there. How much is kept they do not say.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from widenet import UsageError
from widenet_supermask.config import Import

CHECK = {"file": Path(__file__).with_name("check.pt"), "keep": 0.5}
"""Options for ``wn check-plugin``; the file is of conv2:width=0.1 on tiny, each tensor one zero expanded to its shape."""


def import_mask(run: Any, net: Any, data: Any, config: Import) -> dict[str, Any]:
    """Take weights and masks from a checkpoint of the paper's code, or from a seed file; nothing is trained.

    --arch and --dataset must be those that it was made with. The paper's networks have no biases, and most of its residual
    networks no scale and shift in batch normalisation: --arch cresnet18:affine=false,bias=false.
    """
    from widenet.masks import Fixed, attach
    from widenet.train import evaluate
    from widenet_supermask.fitting import from_checkpoint, from_seed
    from widenet_supermask.packing import is_packed

    if run.record["parents"]:
        raise UsageError("the weights come from --file, which leaves nothing for --from to give; leave it out")
    state, masks = from_seed(run, config) if is_packed(config.file) else from_checkpoint(run, net, config)
    net.load_state_dict(state)
    attach(net, lambda name, _: Fixed(masks[name]) if name in masks else None, biases=True)
    measured = evaluate(net, data.test)
    run.record["imported"] = {"sha256": hashlib.sha256(config.file.read_bytes()).hexdigest()}
    accuracies = {f"test_{key}": measured[key] for key in ("accuracy", "top5") if key in measured}
    return {**accuracies, "weights": f"of {config.file.name}, not trained here"}
