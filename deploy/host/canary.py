"""The canary: a new version beside the current one. It gets the requests that select it, and a share of all others."""

from __future__ import annotations

import contextlib
from pathlib import Path

import checks
import haproxy
import images
from machine import Failure, Settings, run, say
from replica import Replica
from rollout import RolledBack, Rollout

NEXT = Replica("next")
HEADERS = "maps/next-by-header.map"
PERCENT = "maps/next-percent.map"
TARGETS = Path("/etc/daybook/prometheus/next.yml")


def start(settings: Settings, rollout: Rollout, image: str, percent: int) -> None:
    """Stops the canary again on any failure."""
    if NEXT.image():
        # Until the new one is up, the current version serves all requests.
        drop(settings)
    images.tag(image, images.NEXT)
    try:
        run("systemctl", "enable", "--quiet", NEXT.socket)
        NEXT.restart()
        NEXT.check(rollout.requests)
        say(f"next: ready, {len(rollout.requests)} check requests succeeded")
        settings.set(HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT=str(percent))
        restart_haproxy()
        haproxy.wait_until_up(NEXT.server)
        if TARGETS.parent.is_dir():
            TARGETS.write_text('- targets: ["next"]\n')
        for selects in ({"X-API-Version": value} for value in header_values()):
            for request in rollout.requests:
                checks.send(request, checks.haproxy_connection(rollout.tls), NEXT.admin, selects)
        if haproxy.responses(NEXT.server) == 0 and header_values():
            raise Failure("it gets no requests through HAProxy")
    except Exception as failure:
        say(f"next: {failure}: stopping it")
        drop(settings)
        raise RolledBack(str(failure)) from None
    say(f"next: serves requests that select it, and {percent} % of all others")


def header_values() -> list[str]:
    """The values of X-API-Version that select it, from lines such as `0x55… 2 next`."""
    lines = haproxy.command(f"show map {HEADERS}").splitlines()
    return [line.split()[1] for line in lines if line.split()[2:] == ["next"]]


def share(settings: Settings, percent: int) -> None:
    """Changes its share at run time, and in the settings for HAProxy's next start."""
    haproxy.command(f"del map {PERCENT} percent")
    if said := haproxy.command(f"add map {PERCENT} percent {percent}").strip():
        raise Failure(f"HAProxy did not accept {percent} %: {said}")
    settings.set(HAPROXY_NEXT_PERCENT=str(percent))
    say(f"next: gets {percent} % of the requests that select no version")


def drop(settings: Settings) -> None:
    """HAProxy first, so that it gets no more requests."""
    image = images.find(images.NEXT)
    TARGETS.unlink(missing_ok=True)
    if settings.get("HAPROXY_NEXT", "off") != "off":
        settings.set(HAPROXY_NEXT=None, HAPROXY_NEXT_PERCENT=None)
        restart_haproxy()
    with contextlib.suppress(Failure):
        run("systemctl", "reset-failed", NEXT.service, NEXT.socket)
    run("systemctl", "disable", "--quiet", "--now", NEXT.socket)
    run("systemctl", "stop", NEXT.service)
    images.untag(images.NEXT)
    images.forget(image)
    say("next: stopped")


def restart_haproxy() -> None:
    """systemd holds the ports, so new connections wait."""
    run("systemctl", "restart", "haproxy.service", seconds_max=90)
    say("HAProxy: restarted with the new settings")
