"""The one error of this package: something a person has to know or do, told in one sentence."""


class ClusterError(Exception):
    """Printed without a traceback; the command then exits with status 1."""
