"""What the server that worker processes are forked from loads once for all of them, by importing this module.

Loading takes its time. The server is started deaf to a Ctrl-C meanwhile, which a terminal sends to it as well; the processes
that it forks hear again.
"""

import importlib
import signal

for _name in ("torch", "widenet.train", "widenet.execute", "widenet.cli.main"):
    importlib.import_module(_name)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
