"""`make demo`: from a machine with nothing to a streamed answer of a real vLLM, through the operator, on a real cluster.

Every stage does only what is missing, so a second run takes a minute or two. Standard library only: it runs before any
Python environment is built.
"""

import http.client
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.access import Cluster
from tests.cluster.chart import NAMESPACE, install_command, install_with
from tests.cluster.choice import Maker, Native, chosen
from tests.cluster.errors import ClusterError
from tests.cluster.images import base
from tests.cluster.kind.steps import Run, Runner, Write
from tests.cluster.layout import REPOSITORY, Layout
from tests.cluster.model_volume import model_volume
from tests.cluster.progress import run_logged, say
from tests.e2e.kube import Kube, Object, condition

NAME = "quickstart"
#: As the example's claim has it.
VOLUME = "fairlead-models"
EXAMPLE = REPOSITORY / "examples" / "quickstart.yaml"
USE = 'eval "$(python3 -m tests.cluster env)"'
QUESTION = "Tell me about the sea."
#: Longest wait for Ready. Two replicas start side by side on two cores in about a minute.
READY_SECONDS = 600.0
#: Restarts of an engine after which waiting is pointless.
ENDINGS = 3
#: Seconds between two looks while waiting, and after which a line is printed though nothing has changed.
LOOK_EVERY, TELL_EVERY = 1.0, 10.0


@dataclass
class Stages:
    """What has been done, and how long it took in seconds."""

    done: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, title: str) -> Iterator[None]:
        say(f"\n[{len(self.done) + 1}/6] {title}")
        start = time.monotonic()
        yield
        self.done.append((title, time.monotonic() - start))

    def table(self) -> str:
        width = max(len(title) for title, _ in self.done)
        whole = ("in all", sum(seconds for _, seconds in self.done))
        lines = [f"  {title:<{width}} {seconds:7.1f} s" for title, seconds in (*self.done, whole)]
        return "\n".join(lines)


def check_machine(maker: Maker) -> None:
    """See that the machine is one that this can work on, before anything is begun.

    Raises:
        ClusterError: what is missing, and what to do about it.
    """
    if isinstance(maker, Native):
        check_native_machine()
    if shutil.which("go") is None:
        raise ClusterError(
            "Go is not installed, and the local cluster's programs are built with it: install Go 1.26 or newer and put it on PATH"
        )


def check_native_machine() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "Root is needed: the local cluster makes a network namespace, mounts and containers. As root (sudo -i, or in a "
            "throw-away virtual machine): make demo"
        )
    if importlib.util.find_spec("ensurepip") is None:
        raise ClusterError("This Python cannot make virtual environments. As root: apt-get install python3-venv")
    try:
        base.suite()
    except ClusterError as error:
        raise ClusterError(
            f"{error}. Run it on Debian 12 or newer; a virtual machine with 2 cores and 8 GB of memory will do"
        ) from None


def install_chart(cluster: Cluster) -> None:
    log = cluster.state / "helm.log"
    try:
        run_logged("helm upgrade --install fairlead charts/fairlead", install_command(cluster), log)
    except ClusterError as error:
        raise ClusterError(f"{error}\nTo look at it: {USE}; kubectl -n {NAMESPACE} describe pods") from None


def apply_example(cluster: Cluster, kube: Kube) -> None:
    volume = kube.get("persistentvolume", VOLUME)
    if volume and volume["status"].get("phase") in {"Released", "Failed"}:
        # Its claim was deleted: a volume that is kept takes no other claim by itself.
        kube.delete("persistentvolume", VOLUME)
    kube.apply(model_volume(cluster.models, VOLUME))
    say(kube.run("apply", "--server-side", "-f", str(EXAMPLE)).stdout.rstrip())


def wait_ready(kube: Kube) -> None:
    """Wait until the ModelDeployment is Ready; print a line whenever something has changed.

    Raises:
        ClusterError: it stalled, its engine keeps ending, or it took too long; the message says why and where to look.
    """
    start = time.monotonic()
    told, told_at = "", 0.0
    before = restarts(kube.list("pods", selector=f"serving.fairlead.dev/model-deployment={NAME}"))
    width = shutil.get_terminal_size((160, 24)).columns - len("  1234 s  ") - 1
    while True:
        mdep = kube.must_get("mdep", NAME)
        pods = kube.list("pods", selector=f"serving.fairlead.dev/model-deployment={NAME}")
        elapsed = time.monotonic() - start
        line = where_it_stands(mdep, pods)
        if line != told or elapsed - told_at >= TELL_EVERY:
            shown = line if line != told else f"still {condition(mdep, 'Ready').get('reason', 'nothing to be seen')}"
            say(f"  {elapsed:4.0f} s  {shown if len(shown) <= width else shown[: width - 1] + '…'}")
            told, told_at = line, elapsed
        current = mdep["status"].get("observedGeneration") == mdep["metadata"]["generation"]
        if current and condition(mdep, "Ready").get("status") == "True":
            return
        why = condition(mdep, "Stalled")
        if current and why.get("status") == "True":
            raise ClusterError(f"{NAME} will not become Ready by itself: {why['reason']}: {why['message']}")
        if pod := keeps_ending(restarts(pods), before):
            words = kube.logs(pod, "engine", "default", "--previous", "--tail=20")
            raise ClusterError(f"The engine of {pod} keeps ending. Its last words:\n{words}")
        if elapsed > READY_SECONDS:
            raise ClusterError(
                f"{NAME} is not Ready after {READY_SECONDS:.0f} s. To look at it: {USE}; kubectl describe mdep {NAME}"
            )
        time.sleep(LOOK_EVERY)


def where_it_stands(mdep: Object, pods: list[Object]) -> str:
    """One line: replicas, why it is not Ready, and what the containers wait for."""
    ready = condition(mdep, "Ready")
    replicas = mdep["status"].get("availability", "0/?") + " ready"
    message = ready.get("message") or ready.get("reason", "")
    words = [message] if message.startswith(replicas) else [replicas, *filter(None, [message])]
    waiting = {
        status["state"]["waiting"].get("reason", "")
        for pod in pods
        for status in [*pod["status"].get("initContainerStatuses", []), *pod["status"].get("containerStatuses", [])]
        if "waiting" in status["state"]
    } - {"", "PodInitializing"}
    if waiting:
        words.append("containers: " + ", ".join(sorted(waiting)))
    return "; ".join(words)


def restarts(pods: list[Object]) -> dict[str, int]:
    """How often the engine of each pod has been started again."""
    return {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
        if status["name"] == "engine"
    }


def keeps_ending(now: dict[str, int], before: dict[str, int]) -> str:
    """A pod whose engine has ended too often since `before`, which may be an earlier run's doing; empty if there is none."""
    return next((pod for pod, count in now.items() if count - before.get(pod, 0) >= ENDINGS), "")


def chat(port: int) -> None:
    """Ask one question and print the answer as it streams.

    Raises:
        ClusterError: another answer than 200, or a stream that ended early.
    """
    body = {
        "model": "tiny",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": 80,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    say(f"  POST /v1/chat/completions   {QUESTION!r}   (service/{NAME}, by a port-forward)\n")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        raise ClusterError(f"The model answered {answer.status}: {answer.read().decode(errors='replace')}")
    first, tokens, finished = None, 0, False
    for event in events(answer):
        finished = event is None or finished
        if event is None:
            continue
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
        for choice in event["choices"]:
            first = first or time.monotonic()
            print(printable(choice["delta"].get("content") or ""), end="", flush=True)
    connection.close()
    print(flush=True)
    if not finished or first is None:
        raise ClusterError("The stream ended before its end was told")
    took = time.monotonic() - start
    say(
        f"\n  first token after {(first - start) * 1000:.0f} ms, {tokens} tokens in {took:.2f} s. The words make no sense: the "
        "model's weights are random. Everything else is real."
    )


def printable(text: str) -> str:
    """A text of random weights may hold anything, an escape sequence too."""
    return "".join(each if each.isprintable() or each == "\n" else "·" for each in text)


def events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any] | None]:
    """The chunks of a stream of server-sent events; None for the one that tells its end."""
    for raw in answer:
        line = raw.decode().strip()
        if line.startswith("data:"):
            data = line.removeprefix("data:").strip()
            yield None if data == "[DONE]" else json.loads(data)


def what_next() -> str:
    return f"""What to type next:
  {USE:<52} kubectl and helm now mean this cluster
  {f"kubectl describe mdep {NAME}":<52} conditions and events
  {"kubectl explain mdep.spec.engine":<52} what each field means
  {f"kubectl scale mdep {NAME} --replicas=3":<52} another replica; no stream is cut
  {f"kubectl port-forward service/{NAME} 8000:80":<52} then, in another terminal:
  curl -N localhost:8000/v1/chat/completions -H 'content-type: application/json' \\
    -d '{{"model": "tiny", "stream": true, "messages": [{{"role": "user", "content": "Hello"}}]}}'
  {"make cluster-down":<52} removes the cluster; what was built stays cached"""


def show(maker: Maker, layout: Layout) -> None:
    """Print what comes after the cluster, as it would be done to it."""
    maker.images(layout, ())
    kubectl = ("kubectl", f"--kubeconfig={layout.kubeconfig}", "apply", "--server-side")
    volume = layout.state / "volume.json"
    Runner(layout.logs, dry=True).do(
        (
            Run("Operator, by Helm", tuple(install_with(Path("helm"), layout.kubeconfig, layout.state))),
            Write("A volume on the tiny model", volume, json.dumps(model_volume(layout.models, VOLUME), indent=1)),
            Run("The volume", (*kubectl, f"--filename={volume}")),
            Run("The example", (*kubectl, f"--filename={EXAMPLE}")),
        )
    )


def demo() -> None:
    stages, layout = Stages(), Layout.of_this_clone()
    maker = chosen(layout)
    check_machine(maker)
    with stages.stage("What the machine needs"):
        maker.prepare()
    with stages.stage("Local cluster"):
        cluster = maker.up(layout, None)
    if cluster is None:
        show(maker, layout)
        return
    # kubectl, helm and port-forward speak to the node itself, whatever proxy this machine uses for the rest.
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), cluster.node_address)))
    with stages.stage("Images of operator, sidecar and engine"):
        maker.images(layout, ())
    with stages.stage("Operator, by Helm"):
        install_chart(cluster)
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    with stages.stage("examples/quickstart.yaml until Ready"):
        apply_example(cluster, kube)
        wait_ready(kube)
    with stages.stage("A chat completion, streamed"), kube.port_forward(f"service/{NAME}", 80) as port:
        chat(port)
    say(f"\n$ kubectl get mdep\n{kube.run('get', 'mdep').stdout}\n{stages.table()}\n\n{what_next()}")


def main() -> int:
    """0 if an answer was streamed, 1 with what is wrong, 130 after Ctrl-C."""
    try:
        demo()
    except (ClusterError, AssertionError, http.client.HTTPException, OSError) as error:
        say(f"\nError: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped. `make demo` goes on from here, `make cluster-down` clears up")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
