"""The next version beside the current one, for who asks for it and for a share of all others."""

from __future__ import annotations

import contextlib
from pathlib import Path

import checks
import haproxy
import images
from machine import Failure, Settings, run, say
from replica import Replica
from rollout import PutBack, Rollout

NEXT = Replica("next")
HEADERS = "maps/next-by-header.map"
PERCENT = "maps/next-percent.map"
TARGETS = Path("/etc/daybook/prometheus/next.yml")


def start(settings: Settings, rollout: Rollout, image: str, percent: int) -> None:
    """On any failure there is none, as before."""
    if NEXT.image():
        # Who asks for it is answered by the current version meanwhile.
        drop(settings)
    images.tag(image, images.NEXT)
    try:
        run("systemctl", "enable", "--quiet", NEXT.socket)
        NEXT.restart()
        NEXT.check(rollout.requests)
        say(f"next: ready, {len(rollout.requests)} requests answered and recorded")
        settings.set(HAPROXY_NEXT="on", HAPROXY_NEXT_PERCENT=str(percent))
        restart_haproxy()
        haproxy.wait_until_up(NEXT.server)
        if TARGETS.parent.is_dir():
            TARGETS.write_text('- targets: ["next"]\n')
        for asks in ({"X-API-Version": value} for value in asked_by_header()):
            for request in rollout.requests:
                checks.send(request, checks.front_door(rollout.tls), NEXT.admin, asks)
        if haproxy.answers(NEXT.server) == 0 and asked_by_header():
            raise Failure("it gets nothing from the front door")
    except Exception as failure:  # Whatever it is, it ends.
        say(f"next: {failure}: ending it")
        drop(settings)
        raise PutBack(str(failure)) from None
    say(f"next: answers at the front door: who asks for it, and {percent} % of all others")


def asked_by_header() -> list[str]:
    """The X-API-Versions that lead to it: lines `0x55… 2 next`."""
    lines = haproxy.command(f"show map {HEADERS}").splitlines()
    return [line.split()[1] for line in lines if line.split()[2:] == ["next"]]


def share(settings: Settings, percent: int) -> None:
    """Changes its share while it runs; the setting is for when HAProxy starts again."""
    haproxy.command(f"del map {PERCENT} percent")
    if said := haproxy.command(f"add map {PERCENT} percent {percent}").strip():
        raise Failure(f"HAProxy, asked for {percent} %: {said}")
    settings.set(HAPROXY_NEXT_PERCENT=str(percent))
    say(f"next: gets {percent} % of who does not ask for a version")


def drop(settings: Settings) -> None:
    """HAProxy first: then nobody asks for it any more."""
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
    say("next: ended")


def restart_haproxy() -> None:
    """Its ports are systemd's: new connections wait."""
    run("systemctl", "restart", "haproxy.service", seconds_max=90)
    say("HAProxy: restarted with the new settings")
