"""What the server that worker processes are forked from loads once for all of them, by importing this module.

These are our own modules, and those of others that most runs or analyses come to need. Imported by each process anew, they
would take a short run longer than its training: torch._dynamo with the first optimiser, scikit-learn and SciPy with the digits.

Loading takes its time. The server is started deaf to a Ctrl-C meanwhile, which a terminal sends to it as well; the processes
that it forks hear again.
"""

import importlib
import signal

OURS = ("widenet.train", "widenet.execute", "widenet.analyse", "widenet.opening", "widenet.cli.main")
OTHERS = ("torch._dynamo", "h5py", "matplotlib.figure", "matplotlib.backends.backend_agg", "sklearn.datasets")
for _name in (*OURS, *OTHERS):
    importlib.import_module(_name)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
