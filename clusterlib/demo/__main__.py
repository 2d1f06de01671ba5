"""Entry point of ``python -m clusterlib.demo``."""

from clusterlib.demo.command import main

if __name__ == "__main__":
    raise SystemExit(main())
