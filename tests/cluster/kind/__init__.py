"""The same cluster where Docker runs: one node of kind instead of processes of our own.

What the two have in common is what the rest of the tree asks of a cluster: `tests.cluster.access.Cluster`. The state folder
lies at the same path on the machine and in the node, so that fake GPUs, the tiny model and the audit log are where the others
expect them.
"""
