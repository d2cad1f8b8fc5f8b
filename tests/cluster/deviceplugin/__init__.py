"""Fake GPUs: a device plugin that advertises them to the kubelet, and which they are."""
