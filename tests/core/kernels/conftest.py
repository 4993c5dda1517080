"""What all tests of the kernels share."""

import pytest
import torch

from widenet.kernels import _bits


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Waiting for a busy second core takes longer than these tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["whole", "pieces"])
def pieces(request, monkeypatch):
    """Run as it is, and with chunks so small that every branch for large tensors is taken."""
    if request.param == "pieces":
        monkeypatch.setattr(_bits, "SMALL", 0)
        monkeypatch.setattr(_bits, "CHUNK", 76)
