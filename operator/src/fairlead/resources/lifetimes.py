"""How long a replica may take to end, in seconds; the agent keeps to the parts and the kubelet to the sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fairlead.api.model_deployment import ModelDeploymentSpec

DRAIN_DELAY: Final = 5
"""From SIGTERM until endpoint lists may be believed: kube-proxy follows an EndpointSlice within one second, the rest is for
load balancers that look themselves."""
ENGINE_SHUTDOWN: Final = 45
"""vLLM's --shutdown-timeout: what is still in the engine after maxStreamSeconds."""
SIGNAL_SECONDS: Final = 2
"""No SIGTERM in the first moments of a container: process 1 ignores it until it has set up a handler, which Envoy does when its
configuration is read. A pod that was deleted while it started held its GPU for the whole grace period (seen on a kubelet)."""
MARGIN: Final = 10
"""For the ends of the processes themselves, before the kubelet kills."""
KILL_GRACE: Final = 10
"""After a failed probe there is nothing to drain: the engine makes no token."""
START_MARGIN: Final = 10
"""The agent's own deadline comes first, for it knows the reason."""
PROGRESS_MARGIN: Final = 60
"""For a pod to be scheduled, its image to be there and its containers to be made."""


def termination_grace(spec: ModelDeploymentSpec) -> int:
    """terminationGracePeriodSeconds: the longest stream that may begin at the last moment still ends by itself."""
    return SIGNAL_SECONDS + DRAIN_DELAY + spec.rollout.max_stream_seconds + ENGINE_SHUTDOWN + MARGIN


def progress_deadline(spec: ModelDeploymentSpec) -> int:
    """progressDeadlineSeconds: how long a rollout may show no new replica.

    Without a surge a new replica gets its GPU only when an old one has ended.
    """
    wait = termination_grace(spec) if spec.rollout.max_surge == 0 else 0
    return wait + spec.health.startup_timeout_seconds + PROGRESS_MARGIN
