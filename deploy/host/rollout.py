"""Replaces the image of one replica after another, or rolls all of them back."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass

import checks
import haproxy
import images
from machine import Failure, Refusal, Settings, run, say, wait
from replica import Replica

SERVING_SECONDS_MAX = 15


@dataclass
class Rollout:
    """The checked preconditions."""

    replicas: list[Replica]
    requests: list[checks.Request]
    tls: bool


def prepare(settings: Settings) -> Rollout:
    try:
        run("systemctl", "is-active", "--quiet", "daybook.target")
    except Failure:
        raise Refusal("daybook.target is not active: start it before a deploy") from None
    if settings.replicas == 1:
        raise Refusal("there is one replica, so requests would fail while it restarts: run daybook-scale 2")
    if not images.find(images.CURRENT):
        raise Refusal(f"there is no {images.CURRENT} to roll back to")
    try:
        haproxy.servers()
        tls = checks.haproxy_redirects_to_tls()
    except Failure as failure:
        raise Refusal(f"HAProxy does not serve: {failure}") from None
    replicas = [Replica(str(number)) for number in range(1, settings.replicas + 1)]
    return Rollout(replicas, checks.read(), tls)


def running(rollout: Rollout, image: str) -> bool:
    """Whether `current` and all replicas are this image."""
    return images.find(images.CURRENT) == image and all(replica.image() == image for replica in rollout.replicas)


def origin(image: str) -> str:
    """The image for a rollback. An interrupted deploy may have tagged the new image as `current` already."""
    current = images.find(images.CURRENT)
    before = current if current != image else images.find(images.PREVIOUS)
    if not before:
        raise Refusal(f"there is no {images.PREVIOUS} to roll back to")
    return before


def confirm(rollout: Rollout, image: str) -> None:
    """Checks the running image: an interrupted deploy may have left it unchecked, and drained in HAProxy."""
    for replica in rollout.replicas:
        try:
            replica.check(rollout.requests)
            haproxy.admit(replica.server)
            check_through_haproxy(replica, rollout)
        except Failure as failure:
            raise Failure(f"{images.title(image)} is already running, but {replica}: {failure}") from None


def down_first(replicas: list[Replica]) -> list[Replica]:
    """So that the last replica that is up stays until another one is up."""
    return sorted(replicas, key=lambda replica: haproxy.is_up(haproxy.row_of(replica.server)))


def replace(rollout: Rollout, image: str) -> None:
    replicas = down_first(rollout.replicas)
    before, former = origin(image), images.find(images.PREVIOUS)
    images.tag(before, images.PREVIOUS)
    images.tag(image, images.CURRENT)
    restarted: list[Replica] = []
    replica = replicas[0]
    try:
        for replica in replicas:
            haproxy.refuse_the_last(replica.server)
            restarted.append(replica)
            restart_on(replica, image, rollout.requests)
            check_through_haproxy(replica, rollout)
    except Exception as failure:  # Roll back after any error.
        # Signals must not interrupt the rollback.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        reason = f"{replica}: {failure}"
        say(f"{reason}: rolling back to {images.title(before)}")
        images.tag(before, images.CURRENT)
        if former:
            images.tag(former, images.PREVIOUS)
        else:
            images.untag(images.PREVIOUS)
        # An interrupted deploy may have left the image on others.
        others = [other for other in replicas if other not in restarted and other.image() == image]
        roll_back([*others, *restarted], before, reason)
        say(f"all replicas run {images.title(before)} again")
        images.forget(image)
        raise RolledBack(reason) from None
    images.forget(former)


class RolledBack(Failure):
    """It failed and was rolled back completely."""


def roll_back(restarted: list[Replica], image: str, reason: str) -> None:
    """The failed replica first. Tries each one, even if others fail."""
    lost = []
    for replica in reversed(restarted):
        try:
            restart_on(replica, image, [])
        except Failure as failure:
            say(f"{replica}: {failure}")
            lost.append(str(replica))
            # If it recovers, HAProxy's checks put it back.
            with contextlib.suppress(Failure):
                haproxy.ready(replica.server)
    if lost:
        raise Failure(f"{reason}; and not back on {images.title(image)}: {', '.join(lost)}")


def restart_on(replica: Replica, image: str, requests: list[checks.Request]) -> None:
    """Drains a replica, restarts it, and returns it to HAProxy after its checks succeed."""
    haproxy.drain(replica.server)
    say(f"{replica}: out of HAProxy, restarting")
    replica.restart()
    if replica.image() != image:
        raise Failure(f"it runs {images.title(replica.image())} instead of {images.title(image)}")
    replica.check(requests)
    say(f"{replica}: ready{f', {len(requests)} check requests succeeded' if requests else ''}")
    haproxy.admit(replica.server)
    say(f"{replica}: up in HAProxy")


def check_through_haproxy(replica: Replica, rollout: Rollout) -> None:
    """Checks this replica through HAProxy, whatever the other replicas and the canary return."""
    before = haproxy.responses(replica.server)
    selects = {"X-Daybook-Replica": replica.name}

    def served() -> bool:
        try:
            for request in rollout.requests:
                checks.send(request, checks.haproxy_connection(rollout.tls), replica.admin, selects)
        except Failure:
            if haproxy.is_up(haproxy.row_of(replica.server)):
                raise
            # Another replica responded.
            return False
        return haproxy.responses(replica.server) > before

    wait(SERVING_SECONDS_MAX, served, lambda: "it gets no requests through HAProxy")
    say(f"{replica}: serves requests through HAProxy")
