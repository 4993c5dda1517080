"""What the server that worker processes are forked from loads once for all of them, by importing this module.

Signals to all processes at once are for the command: it tells the workers, and the server must live until they have ended.
"""

import importlib
import signal

MODULES = ("torch", "widenet.train", "widenet.execute", "widenet.cli.main")

_before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the server sets its own
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _name in MODULES:
    importlib.import_module(_name)
signal.signal(signal.SIGINT, _before)
