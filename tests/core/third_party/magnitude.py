"""Prune the smallest weights once, then train what is left."""
import attrs
from attrs.validators import and_, ge, lt
from widenet import Analysis, Method, Train, hookimpl, opt

@attrs.frozen(kw_only=True)
class Prune(Train):
    sparsity: float = opt(0.9, "Fraction of weights removed.", validator=and_(ge(0), lt(1)))

def prune(run, net, data, config):
    "Prune by magnitude, layer by layer, then train."
    from widenet.masks import Fixed, attach
    from widenet.train import fit

    def smallest(name, weight):
        cut = weight.abs().flatten().kthvalue(max(1, int(config.sparsity * weight.numel()))).values
        return Fixed(weight.abs() > cut)

    attach(net, smallest)
    for epoch in fit(run, net, data, config):
        pass

def dead(run, net, data, config):
    "Count the units of each layer whose every incoming weight is masked."
    for name, mask in run.masks("final").items():
        yield {"layer": name, "units": len(mask), "dead": int((~mask.reshape(len(mask), -1).any(1)).sum())}

@hookimpl
def methods():
    yield Method("magnitude", prune, Prune, presets={"extreme": {"sparsity": 0.99}})

@hookimpl
def analyses():
    yield Analysis("dead-units", dead)
