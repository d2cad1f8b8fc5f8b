"""Fairlead: a Kubernetes operator that serves language models."""
