"""Level-triggered reconcile: read, decide, apply, report."""
