"""Settings every test runs under; fixtures live beside the tests that use them."""

from hypothesis import settings

# No deadline, because a test must not depend on how fast the machine is; the same examples in
# every run, because a failure must be there again when somebody looks.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
