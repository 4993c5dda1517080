"""What all tests of the kernels share."""

import pytest
import torch

from widenet.kernels import select


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Waiting for a busy second core takes longer than these tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=["compiled", "plain"])
def form(request, monkeypatch):
    """The form with compiled loops, and the plain one."""
    monkeypatch.setattr(select, "SMALL", 0)
    if request.param == "plain":
        monkeypatch.setattr(select, "compiled", lambda name: None)
