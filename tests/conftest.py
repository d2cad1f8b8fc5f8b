"""What holds for all tests: property tests draw the same examples in every run, and a busy machine is no failure."""

from hypothesis import HealthCheck, settings

settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("soak", deadline=None, max_examples=40, stateful_step_count=40, print_blob=True)
settings.load_profile("fixed")
