"""Kernels: each file holds a plain PyTorch form, which is the CPU path and the reference, beside its Triton form."""
