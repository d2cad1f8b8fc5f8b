"""A real single-machine Kubernetes for tests and for `make demo`: standard library only, so that it runs before any venv.

`python3 -m tests.cluster --help` lists the commands. One node, in a network, mount and process namespace of its own:

    host ── fl-<clone> ═ veth ═ eth0 ── node: etcd, API server, controllers, scheduler, containerd, kubelet, kube-proxy
                                          └─ cni0 ── pods

Everything that runs is a descendant of one small init process in that process namespace. Killing it ends every process
of the cluster at once, and the kernel then drops the mounts that only they saw: `down` cannot forget one.

There is no cluster DNS: pods reach a Service by its address, and the API server through KUBERNETES_SERVICE_HOST.
"""
