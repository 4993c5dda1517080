"""``python -m widenet`` is ``wn``."""

from widenet.cli.main import main

main()
