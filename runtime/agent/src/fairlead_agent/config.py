"""agent.json: what the operator tells the agent. Parsed strictly: a key too many or of the wrong kind is named with its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fairlead_agent import section
from fairlead_agent.engines import ENGINES
from fairlead_agent.section import Section

if TYPE_CHECKING:
    from pathlib import Path

#: The one layout of agent.json that this agent reads.
VERSION = 1
_PORTS = (1, 65535)
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Bind:
    """Where the agent listens: the pod's IP for probes, loopback for /drain."""

    host: str
    port: int
    drain_host: str
    drain_port: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """What must hold for GPU memory, in percent of each device's total and in bytes."""

    memory_utilization_percent: int
    memory_floor_bytes: int


@dataclass(frozen=True, slots=True)
class Warmup:
    """How the engine is warmed up; lengths in tokens."""

    enabled: bool
    requests: int
    prompt_tokens: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Health:
    """When the engine is no longer trusted; all in seconds but the threshold, which counts misses in a row."""

    stall_seconds: int
    startup_timeout_seconds: int
    idle_seconds: int
    probe_timeout_seconds: int
    failure_threshold: int

    @property
    def not_ready_after(self) -> int:
        """Seconds without a sign of life after which the replica leaves the Service (15 with the defaults)."""
        return self.probe_timeout_seconds * self.failure_threshold


@dataclass(frozen=True, slots=True)
class Drain:
    """How the replica ends, in seconds."""

    delay_seconds: int
    max_stream_seconds: int
    engine_shutdown_seconds: int


@dataclass(frozen=True, slots=True)
class Config:
    """agent.json as typed values. URLs have no trailing slash."""

    engine: str
    served_name: str
    bind: Bind
    engine_url: str
    sidecar_url: str
    sidecar_admin_url: str
    gpu: Gpu
    warmup: Warmup
    health: Health
    drain: Drain

    @property
    def sidecar_port(self) -> int:
        """Where the sidecar listens for clients."""
        return urlsplit(self.sidecar_url).port or 80


def load(path: Path) -> Config:
    """Reads agent.json.

    Raises:
        ConfigError: the file cannot be read or does not say what it must.
    """
    return section.load(path, parse)


def parse(text: str) -> Config:
    """The same from text.

    Raises:
        ConfigError: it is not JSON, or a key is missing, unknown or of the wrong kind.
    """
    top = Section.of(text)
    top.version(VERSION)
    engine = top.one_of("engine", ENGINES)
    config = Config(
        engine=engine,
        served_name=top.text("servedName"),
        bind=_bind(top.section("bind")),
        engine_url=top.url("engineUrl"),
        sidecar_url=top.url("sidecarUrl"),
        sidecar_admin_url=top.url("sidecarAdminUrl"),
        gpu=_gpu(top.section("gpu")),
        warmup=_warmup(top.section("warmup")),
        health=_health(top.section("health")),
        drain=_drain(top.section("drain")),
    )
    top.finish()
    return config


def _bind(section: Section) -> Bind:
    bind = Bind(
        section.text("host"), section.integer("port", *_PORTS), section.text("drainHost"), section.integer("drainPort", *_PORTS)
    )
    section.finish()
    return bind


def _gpu(section: Section) -> Gpu:
    gpu = Gpu(section.integer("memoryUtilizationPercent", 1, 100), section.integer("memoryFloorBytes", 0, 2**63))
    section.finish()
    return gpu


def _warmup(section: Section) -> Warmup:
    warmup = Warmup(
        enabled=section.boolean("enabled"),
        requests=section.integer("requests", 1, 1024),
        prompt_tokens=section.integer("promptTokens", 1, 2**20),
        max_tokens=section.integer("maxTokens", 1, 2**20),
    )
    section.finish()
    return warmup


def _health(section: Section) -> Health:
    health = Health(
        stall_seconds=section.integer("stallSeconds", 1, _DAY),
        startup_timeout_seconds=section.integer("startupTimeoutSeconds", 1, _DAY),
        idle_seconds=section.integer("idleSeconds", 1, _DAY),
        probe_timeout_seconds=section.integer("probeTimeoutSeconds", 1, _DAY),
        failure_threshold=section.integer("failureThreshold", 1, 100),
    )
    section.finish()
    return health


def _drain(section: Section) -> Drain:
    drain = Drain(
        delay_seconds=section.integer("delaySeconds", 0, _DAY),
        max_stream_seconds=section.integer("maxStreamSeconds", 0, 7 * _DAY),
        engine_shutdown_seconds=section.integer("engineShutdownSeconds", 0, _DAY),
    )
    section.finish()
    return drain
