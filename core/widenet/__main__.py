"""``python -m widenet`` is ``wn``."""

from widenet.cli.main import main

if __name__ == "__main__":  # a worker process imports this file by another name
    main()
