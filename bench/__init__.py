"""Speed of clusterlib beside the machine's own limits and beside other libraries.

``python -m bench.run`` measures, ``bench.table`` renders, ``bench.compare`` decides regressions.
``bench/README.md`` explains how the figures come about.
"""
