"""Entry point of ``python -m clusterlib.selftest``."""

from clusterlib.selftest.command import main

if __name__ == "__main__":
    raise SystemExit(main())
