"""Replica after replica onto another image, or all of them back."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass

import checks
import haproxy
import images
from machine import Failure, Refusal, Settings, run, say, wait
from replica import Replica

SEEN_SECONDS_MAX = 15


@dataclass
class Rollout:
    """What has to be right before anything begins."""

    replicas: list[Replica]
    requests: list[checks.Request]
    tls: bool


def prepare(settings: Settings) -> Rollout:
    try:
        run("systemctl", "is-active", "--quiet", "daybook.target")
    except Failure:
        raise Refusal("daybook.target is not active: nothing is serving here that could be replaced") from None
    if settings.replicas == 1:
        raise Refusal("there is one replica, and requests would fail while it restarts: daybook-scale 2")
    if not images.find(images.CURRENT):
        raise Refusal(f"there is no {images.CURRENT}, to go back to")
    try:
        haproxy.servers()
        tls = checks.tls_at_the_front_door()
    except Failure as failure:
        raise Refusal(f"HAProxy does not serve: {failure}") from None
    replicas = [Replica(str(number)) for number in range(1, settings.replicas + 1)]
    return Rollout(replicas, checks.read(), tls)


def running(rollout: Rollout, image: str) -> bool:
    """Whether this image is what is to run and what runs."""
    return images.find(images.CURRENT) == image and all(replica.image() == image for replica in rollout.replicas)


def origin(image: str) -> str:
    """What to go back to. A deploy that was cut short may have left the image as `current` already."""
    current = images.find(images.CURRENT)
    before = current if current != image else images.find(images.PREVIOUS)
    if not before:
        raise Refusal(f"there is no {images.PREVIOUS}, to go back to")
    return before


def confirm(rollout: Rollout, image: str) -> None:
    """What runs already may be what a deploy has left that was cut short: never asked anything, and out of HAProxy."""
    for replica in rollout.replicas:
        try:
            replica.check(rollout.requests)
            haproxy.admit(replica.server)
            see(replica, rollout)
        except Failure as failure:
            raise Failure(f"{images.title(image)} is what is running, and {replica}: {failure}") from None


def down_first(replicas: list[Replica]) -> list[Replica]:
    """The last one that is up has to stay until another one is."""
    return sorted(replicas, key=lambda replica: haproxy.is_up(haproxy.row_of(replica.server)))


def replace(rollout: Rollout, image: str) -> None:
    replicas = down_first(rollout.replicas)
    before, former = origin(image), images.find(images.PREVIOUS)
    images.tag(before, images.PREVIOUS)
    images.tag(image, images.CURRENT)
    moved: list[Replica] = []
    replica = replicas[0]
    try:
        for replica in replicas:
            haproxy.refuse_the_last(replica.server)
            moved.append(replica)
            move(replica, image, rollout.requests)
            see(replica, rollout)
    except Exception as failure:  # Whatever it is, all goes back.
        # What puts things in order is not to be stopped half-way.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        reason = f"{replica}: {failure}"
        say(f"{reason}: back to {images.title(before)}")
        images.tag(before, images.CURRENT)
        if former:
            images.tag(former, images.PREVIOUS)
        else:
            images.untag(images.PREVIOUS)
        # One that was cut short may have left others with it.
        others = [other for other in replicas if other not in moved and other.image() == image]
        put_back([*others, *moved], before, reason)
        say(f"all replicas run {images.title(before)} again")
        images.forget(image)
        raise PutBack(reason) from None
    images.forget(former)


class PutBack(Failure):
    """It failed, and everything is as it was."""


def put_back(moved: list[Replica], image: str, reason: str) -> None:
    """First the one that failed. Every one is tried, whatever becomes of the others."""
    lost = []
    for replica in reversed(moved):
        try:
            move(replica, image, [])
        except Failure as failure:
            say(f"{replica}: {failure}")
            lost.append(str(replica))
            # It may recover, or be repaired: HAProxy's own checks keep it out until then.
            with contextlib.suppress(Failure):
                haproxy.ready(replica.server)
    if lost:
        raise Failure(f"{reason}; and not back on {images.title(image)}: {', '.join(lost)}")


def move(replica: Replica, image: str, requests: list[checks.Request]) -> None:
    """Takes a replica out of HAProxy, restarts it, and lets it back when it has answered as it should."""
    haproxy.drain(replica.server)
    say(f"{replica}: out of HAProxy, restarting")
    replica.restart()
    if replica.image() != image:
        raise Failure(f"it runs {images.title(replica.image())} instead of {images.title(image)}")
    replica.check(requests)
    say(f"{replica}: ready{f', {len(requests)} requests answered and recorded' if requests else ''}")
    haproxy.admit(replica.server)
    say(f"{replica}: up in HAProxy")


def see(replica: Replica, rollout: Rollout) -> None:
    """Asks this replica at the front door, whatever the others answer there, and whatever share the next version has."""
    before = haproxy.answers(replica.server)
    asks = {"X-Daybook-Replica": replica.name}

    def answered() -> bool:
        try:
            for request in rollout.requests:
                checks.send(request, checks.front_door(rollout.tls), replica.admin, asks)
        except Failure:
            if haproxy.is_up(haproxy.row_of(replica.server)):
                raise
            # The answer was another one's.
            return False
        return haproxy.answers(replica.server) > before

    wait(SEEN_SECONDS_MAX, answered, lambda: "it gets nothing from the front door")
    say(f"{replica}: answers at the front door")
