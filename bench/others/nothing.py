"""Does nothing: what is timed is the harness itself."""

DISTRIBUTION = None


def entries(problem):
    yield "nothing", lambda: _nothing


def _nothing():
    return None
