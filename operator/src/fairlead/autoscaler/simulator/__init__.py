"""A day of traffic against replicas that a policy starts and stops, in a few seconds or minutes instead of a day.

The benchmark (tests/bench/autoscaler) and `fairlead autoscale replay` play the same: the traffic (trace.py), what engines make of
it (engine.py, with the constants of models.py), replicas that start, serve and drain (fleet.py), and what came of it (play.py).
"""
