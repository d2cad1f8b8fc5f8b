"""The commands: `python3 -m tests.cluster --help`."""

import argparse
import os
import shlex
import sys

from tests.cluster import debian, tools
from tests.cluster.access import Cluster
from tests.cluster.choice import chosen
from tests.cluster.deviceplugin.devices import COUNT
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout, cache_root
from tests.cluster.progress import say


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A Kubernetes of this clone's own.")
    commands = made.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start it, or start what of it has died")
    start.add_argument("--gpus", type=count, help=f"how many fake GPUs it has (as many as before; {COUNT} at first)")
    commands.add_parser("down", help="stop it; nothing stays but the built tools")
    commands.add_parser("status", help="what runs; exit status 1 unless all of it does")
    commands.add_parser("env", help='for eval "$(…)": KUBECONFIG, and kubectl and helm on PATH')
    build = commands.add_parser("tools", help="build what it consists of, where that is not done yet")
    build.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(tools.MODULES)} ({', '.join(tools.USUAL)})")
    one = commands.add_parser("program", help="where one program of the tools lies, built first where that is not done yet")
    one.add_argument("name")
    commands.add_parser("debian", help="install the Debian packages it needs")
    images = commands.add_parser("images", help="build the project's images and import them")
    images.add_argument("rest", nargs=argparse.REMAINDER)
    return made


def count(text: str) -> int:
    """A number of GPUs; an odd word is answered by argparse."""
    number = int(text)
    if not 1 <= number <= 64:
        raise argparse.ArgumentTypeError("from 1 to 64")
    return number


def env(layout: Layout) -> str:
    """Lines for a shell.

    Raises:
        ClusterError: no cluster is up.
    """
    cluster = Cluster.find(layout)
    if cluster is None:
        raise ClusterError("No cluster is up: `make cluster-up` starts one")
    folders = ":".join(str(cluster.program(name).parent) for name in ("kubectl", "helm"))
    lines = [f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}", f'export PATH={shlex.quote(folders)}:"$PATH"']
    if any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in os.environ):
        lines.append(f'export NO_PROXY="${{NO_PROXY:+$NO_PROXY,}}{cluster.node_address}"')
    return "\n".join(lines)


def run(args: argparse.Namespace) -> int:
    layout = Layout.of_this_clone()
    match args.command:
        case "up":
            chosen(layout).up(layout, args.gpus)
        case "down":
            chosen(layout).down(layout)
        case "status":
            text, whole = chosen(layout).status(layout)
            print(text)
            return 0 if whole else 1
        case "env":
            print(env(layout))
        case "tools":
            tools.ensure(cache_root(), args.modules or tools.USUAL)
        case "program":
            print(tools.program(cache_root(), args.name))
        case "debian":
            debian.install(cache_root())
        case "images":
            chosen(layout).images(layout, args.rest)
    return 0


def main() -> int:
    """0 if all is well, 1 with one sentence if not, 130 after Ctrl-C."""
    try:
        return run(parser().parse_args())
    except ClusterError as error:
        say(f"Error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Stopped. `make cluster-up` goes on from here, `make cluster-down` clears up")
        return 130


if __name__ == "__main__":
    sys.exit(main())
