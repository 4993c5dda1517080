"""A web site on this machine."""

import contextlib
import functools
import gc
import http.server
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        """A client that hangs up, as torchvision does once it knows a file's address, is no fault of the site."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which the files of a folder are to be had while the block lasts."""
    server = _Server(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        with warnings.catch_warnings(action="ignore"):  # the sooner broken connections go, the sooner the site's threads end
            gc.collect()
        server.shutdown()
        server.server_close()
