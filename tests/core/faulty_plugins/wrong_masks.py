"""A method whose masks have not the shape of the weights."""

from widenet import Method, NoOptions, hookimpl


def misfit(run, net, data, config):
    """Save a mask for each filter instead of for each weight."""
    import torch

    run.save_masks("final", {name: torch.ones(len(p), dtype=bool) for name, p in weights(net)})


def weights(net):
    return [(name, module.weight) for name, module in net.named_modules() if hasattr(module, "weight")]


@hookimpl
def methods():
    yield Method("misfit", misfit, NoOptions)
