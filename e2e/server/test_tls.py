"""TLS on a server. The tests build on each other."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
import time

import pytest

from acme import BOOKS, NAME, WWW, Acme, Connection, SteadyTls
from client import ask
from composed import eventually
from server import Server
from steady import Steady

pytestmark = pytest.mark.usefixtures("installed")

IN_USE = "/etc/daybook/certificates/site.pem"


@pytest.fixture(scope="module")
def acme(server: Server) -> Acme:
    acme = Acme(server)
    acme.start()
    return acme


def connect(server: Server, roots: str) -> Connection:
    return Connection((server.host.address, 443), roots)


def set_up(server: Server, **settings: str) -> None:
    for name, value in settings.items():
        server.host.run("sed", "-i", f"s|^{name}=.*|{name}={value}|", "/etc/daybook/daybook.env")


def ask_for_one(server: Server) -> tuple[bool, str]:
    """Starts the unit as the timer does; returns whether it succeeded, and its output."""
    before = server.host.run("journalctl", "--lines=0", "--show-cursor").split("cursor: ")[1].strip()
    done = server.host.attempt("systemctl", "start", "daybook-certificate", seconds_max=150)
    server.host.run("journalctl", "--sync")
    journal = ("journalctl", "--unit=daybook-certificate", f"--after-cursor={before}", "--output=cat")
    return done.returncode == 0, server.host.run(*journal)


def operators_own(server: Server, days_ago: int, days_left: int) -> None:
    """Makes a certificate at the paths that the README uses."""
    date = "date --utc +%Y%m%d%H%M%SZ --date"
    server.shell(
        f"""
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=own \\
            -addext subjectAltName=DNS:{NAME} -not_before $({date} '{days_ago} days ago') \\
            -not_after $({date} '{days_left} days') -keyout /root/key.pem -out /root/chain.pem
        """
    )


def end_that_prometheus_sees(server: Server) -> float:
    return float(re.search(rf'{{file="{IN_USE}"}} (\d+)', server.operator("/haproxy/certificates"))[1])


def names_and_end(certificate: dict) -> tuple[set[str], float]:
    names = {value for kind, value in certificate["subjectAltName"] if kind == "DNS"}
    return names, ssl.cert_time_to_seconds(certificate["notAfter"])


def test_without_a_certificate_http_serves_and_port_443_is_closed(server: Server):
    assert ask(server.http, "POST", "/plain", b"x").status == 200
    assert server.reachable(80, 443) == [80]
    succeeded, said = ask_for_one(server)
    assert succeeded and "ACME_DOMAINS is empty: no certificate is requested" in said
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")


def test_terms_are_accepted_on_purpose_or_nothing_is_asked_for(server: Server, acme: Acme):
    set_up(server, ACME_DOMAINS=NAME, ACME_SERVER=acme.url)
    succeeded, said = ask_for_one(server)
    assert not succeeded and "ACME_TERMS_ACCEPTED is not `yes` in daybook.env" in said
    assert server.reachable(443) == []


def test_where_something_else_has_port_443_http_goes_on(server: Server):
    operators_own(server, days_ago=1, days_left=90)
    listen = "import socket, sys; it = socket.create_server(('', 443)); print(flush=True); sys.stdin.read()"
    command = server.host.enter("python3", "-c", listen)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        done = server.host.attempt("daybook-certificate", "use", "/root/chain.pem", "/root/key.pem")
        other.stdin.close()  # It ends.
    assert done.returncode != 0
    assert "daybook-certificate: HAProxy did not start with port 443, and runs without it" in done.stderr
    assert ask(server.http).status == 200
    assert server.host.run("ls", "--almost-all", "/etc/daybook/certificates") == ""
    server.host.run("systemctl", "reset-failed")


def test_the_first_certificate_opens_port_443_and_costs_no_request(server: Server, acme: Acme, figure):
    set_up(server, ACME_TERMS_ACCEPTED="yes")
    with Steady(server.http, rate=100) as load:
        time.sleep(1)
        started = time.monotonic()
        said = server.follow("TLS by ACME", page="server")
        took = time.monotonic() - started
        time.sleep(1)
    assert f"a certificate for {NAME} until" in said
    # From then on HTTP is redirected.
    assert {failure.split(": ")[1] for failure in load.failures} == {"308"}
    assert server.missing(load.record_ids) == set()
    site = connect(server, acme.roots)
    assert site.get().status == 200
    assert names_and_end(site.certificate())[0] == {NAME}
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    assert "daybook-certificate.timer" in server.units("*.timer")
    served, redirected = len(load.record_ids), len(load.failures)
    figure(f"TLS {took:.1f} s after the first command; HTTP meanwhile: {served} served, then {redirected} redirected, 0 failed")


def test_the_proof_that_was_asked_for_reached_no_replica(server: Server):
    assert server.rows("select path from requests where path like '/.well-known/%'") == []
    # Also while no certificate is requested, and without a redirect.
    assert ask(server.http, path="/.well-known/acme-challenge/x").status == 503
    assert server.rows("select path from requests where path like '/.well-known/%'") == []


def test_https_speaks_http_2_and_is_to_stay_and_http_is_redirected(server: Server, acme: Acme, tmp_path):
    (tmp_path / "roots.pem").write_text(acme.roots)
    curl = (
        "curl", "--silent", "--show-error", "--include", "--max-time", "10", "--cacert", tmp_path / "roots.pem",
        "--resolve", f"{NAME}:443:{server.host.address}", "--http2", "--data", "hello", f"https://{NAME}/secure",
    )
    response = subprocess.run(curl, check=True, capture_output=True, text=True).stdout
    assert response.startswith("HTTP/2 200") and response.endswith("\n\nhello")
    assert "strict-transport-security: max-age=31536000" in response
    assert server.rows("select remote_addr from requests where path = '/secure'") == [(server.host.gateway,)]
    redirect = ask(server.http, "POST", "/x?y=z", b"x", host=NAME)
    assert (redirect.status, redirect.headers["location"]) == (308, f"https://{NAME}/x?y=z")


def test_the_keys_are_for_root_haproxy_and_lego_alone(server: Server):
    haproxy = "99" if server.form == "quadlet" else server.host.run("id", "--group", "haproxy").strip()
    stat = server.host.run("stat", "--format=%a %u %g", "/etc/daybook/certificates", IN_USE).splitlines()
    assert stat == [f"750 0 {haproxy}", f"640 0 {haproxy}"]
    state = server.host.run("stat", "--dereference", "--format=%a %u", "/var/lib/daybook-certificate/").split()
    assert state[0] == "700" and state[1] != "0"
    open_to_others = ("find", "-L", "/var/lib/daybook-certificate/", "-type", "f", "-perm", "/077")
    assert server.host.run(*open_to_others) == ""


def test_a_certificate_that_has_time_is_left_alone(server: Server, acme: Acme):
    before = server.host.run("sha256sum", IN_USE)
    succeeded, said = ask_for_one(server)
    assert succeeded and "is in use: not yet due" in said
    assert server.host.run("sha256sum", IN_USE) == before


def test_an_internationalised_name_is_bought_once_however_it_is_written(server: Server, acme: Acme):
    set_up(server, ACME_DOMAINS=f"BÜCHER.{NAME}.,{NAME},{BOOKS}")
    succeeded, said = ask_for_one(server)
    assert succeeded, said
    site = connect(server, acme.roots)
    site.get()
    assert names_and_end(site.certificate())[0] == {BOOKS, NAME}
    succeeded, said = ask_for_one(server)
    assert succeeded and "is in use: not yet due" in said


def mac_of_lego(server: Server) -> str:
    """Where HAProxy sends challenges. In systemd/ they stay on the loopback."""
    if server.form == "systemd":
        return ""
    within = ("nsenter", "--net", "--target", server.main_pid("haproxy.service"))
    return server.host.run(*within, "ip", "neighbour", "show", "10.89.65.4").split("lladdr ")[1].split()[0]


def test_a_renewal_costs_no_request_and_no_connection(server: Server, acme: Acme, figure):
    # HAProxy reaches a new container of lego at once, whether or not it heard its announcement.
    mac = mac_of_lego(server)
    kept = connect(server, acme.roots)
    kept.get()
    first, kept_socket = kept.certificate(), kept.sock
    set_up(server, ACME_DOMAINS=f"{NAME},{WWW}")
    with SteadyTls((server.host.address, 443), roots=acme.roots) as load:
        time.sleep(1)
        succeeded, said = ask_for_one(server)
        time.sleep(1)
    assert succeeded, said
    assert load.failures == []
    assert server.missing(load.record_ids) == set()
    assert kept.get().status == 200
    assert kept.sock is kept_socket and kept.certificate() == first
    renewed = connect(server, acme.roots)
    renewed.get()
    names, end = names_and_end(renewed.certificate())
    assert names == {NAME, WWW}
    assert end_that_prometheus_sees(server) == end
    assert mac_of_lego(server) == mac
    figure(f"{load}; a connection that was open stayed open")


@pytest.mark.parametrize("how", ["restart", "reload"])
def test_after_haproxy_was_started_again_or_reloaded_it_has_the_newest(server: Server, acme: Acme, how: str, figure):
    with SteadyTls((server.host.address, 443), roots=acme.roots) as load:
        time.sleep(1)
        server.host.run("systemctl", how, "haproxy")
        time.sleep(1)
    assert load.failures == []
    site = connect(server, acme.roots)
    site.get()
    assert names_and_end(site.certificate())[0] == {NAME, WWW}
    figure(str(load))


def test_a_certificate_of_the_operators_own_takes_its_place(server: Server, acme: Acme):
    operators_own(server, days_ago=80, days_left=10)
    own = server.host.run("cat", "/root/chain.pem")
    kept = connect(server, acme.roots)
    kept.get()
    kept_socket = kept.sock
    assert f"a certificate for {NAME} until" in server.follow("TLS with a certificate of your own", page="server")
    assert (kept.get().status, kept.sock) == (200, kept_socket)
    site = connect(server, own)
    assert site.get().status == 200
    assert end_that_prometheus_sees(server) == names_and_end(site.certificate())[1]


@pytest.mark.parametrize(
    "prepare, says",
    [
        ("openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out /root/key.pem", "KEY_VALUES_MISMATCH"),
        ("echo nonsense >/root/chain.pem", "no certificate in PEM form"),
        ("rm /root/chain.pem", "/root/chain.pem: No such file or directory"),
    ],
    ids=["another key", "nonsense", "no file"],
)
def test_one_that_is_unusable_is_refused_and_the_old_one_stays(server: Server, prepare: str, says: str):
    before = server.host.run("sha256sum", IN_USE), end_that_prometheus_sees(server)
    operators_own(server, days_ago=1, days_left=90)
    server.shell(prepare)
    done = server.host.attempt("daybook-certificate", "use", "/root/chain.pem", "/root/key.pem")
    assert done.returncode != 0 and says in done.stderr and len(done.stderr.splitlines()) == 1
    assert (server.host.run("sha256sum", IN_USE), end_that_prometheus_sees(server)) == before
    assert server.host.run("ls", "--almost-all", "/etc/daybook/certificates").split() == ["site.pem"]


def test_one_that_has_expired_is_refused(server: Server):
    operators_own(server, days_ago=80, days_left=-1)
    done = server.host.attempt("daybook-certificate", "use", "/root/chain.pem", "/root/key.pem")
    assert done.returncode != 0 and done.stderr.endswith("it has expired\n")


@pytest.mark.parametrize(
    "settings, says",
    [
        # Nothing listens there.
        ({"ACME_SERVER": "https://127.0.0.1:14001/dir"}, "connection refused"),
        # The name does not resolve, so the challenge fails.
        ({"ACME_DOMAINS": f"{NAME},elsewhere.{NAME}"}, f"[elsewhere.{NAME}] invalid authorization: acme: error"),
    ],
    ids=["unreachable", "refuses"],
)
def test_when_none_can_be_had_the_old_one_stays_and_the_unit_has_failed(
    server: Server, acme: Acme, settings: dict[str, str], says: str, figure
):
    before = end_that_prometheus_sees(server)
    set_up(server, **settings)
    succeeded, said = ask_for_one(server)
    set_up(server, ACME_SERVER=acme.url, ACME_DOMAINS=NAME)
    assert not succeeded and says in said
    assert server.units(state="failed") == ["daybook-certificate.service"]
    assert end_that_prometheus_sees(server) == before
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, acme.roots).get()
    figure(next(line for line in said.splitlines() if says in line))


def test_one_in_the_last_third_of_its_time_is_renewed(server: Server, acme: Acme):
    succeeded, said = ask_for_one(server)
    assert succeeded, said
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    assert connect(server, acme.roots).get().status == 200


def test_after_a_reboot_it_serves_https(server: Server, acme: Acme, figure):
    def serves() -> bool:
        try:
            return connect(server, acme.roots).get().status == 200
        except (OSError, http.client.HTTPException):
            return False

    started = time.monotonic()
    server.host.reboot()
    eventually(60, serves, "it serves")
    figure(f"{time.monotonic() - started:.1f} s after the command")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    assert "daybook-certificate.timer" in server.units("*.timer")


def test_a_stopped_target_closes_port_443(server: Server):
    server.stop()
    assert server.reachable(80, 443) == []
