"""One published trend of each paper, reproduced: ``python -m bench.papers``.

Every module but ``record``, ``page`` and ``__main__`` is one paper: what it claims (``PAPER``), and
``reproduce``, which measures the same on data that need no download and holds the figures against
expectations that were written down before them.
"""
