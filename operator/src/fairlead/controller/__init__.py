"""Edges, work queue, metrics and the process itself."""
