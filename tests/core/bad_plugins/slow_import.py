"""Takes its time to import."""

import time

from widenet import Method, hookimpl

time.sleep(0.6)


@hookimpl
def methods():
    yield Method("late", lambda run, net, data, config: None)
