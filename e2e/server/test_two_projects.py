"""Two projects share a server's ports 80 and 443. The tests build on each other."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from client import Address, ask
from composed import eventually
from daybook import DIRECTORY, REPOSITORY
from projects import NAME as SHOP, make_project
from server import Server
from steady import Steady

pytestmark = pytest.mark.usefixtures("installed")

WHERE = f"/srv/{SHOP}"
# Nothing resolves these names.
NAMES = {"daybook": "daybook.test", SHOP: "shop.test"}
# Names that a project has under its own name, and daybook under the program's.
HAPROXY = {"daybook": "haproxy", SHOP: f"{SHOP}-haproxy"}
# The same program under the project's name: its own build would take minutes, and has no part in this.
IMAGES = f"""
    user=$(sed -n 's/^PROJECT_USER_ID=//p' project.env)
    podman build --quiet --pull=never --isolation=chroot --tag localhost/{SHOP}:current --file - . <<END
    FROM localhost/daybook:current
    COPY --from=localhost/daybook:current /daybook /{SHOP}
    ENV DAYBOOK_DATABASE__PATH=/var/lib/{SHOP}/requests.db
    USER $user:$user
    ENTRYPOINT ["/{SHOP}"]
    END
    podman build --quiet --pull=never --isolation=chroot --tag localhost/{SHOP}-restore:current --file - . <<END
    FROM localhost/daybook-restore:current
    COPY --chmod=755 litestream/restore.sh /usr/local/bin/restore
    ENV DAYBOOK_DATABASE__PATH=/var/lib/{SHOP}/requests.db
    USER $user:$user
    END
"""
PROGRAM = f"cp /usr/local/bin/daybook /usr/local/bin/{SHOP}"


class Connection(http.client.HTTPSConnection):
    """To port 443 under a name. Any certificate is accepted."""

    def __init__(self, address: Address, name: str) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        super().__init__(name, timeout=15, context=context)
        self.address = address

    def connect(self) -> None:
        tcp = socket.create_connection(self.address, self.timeout)
        self.sock = self._context.wrap_socket(tcp, server_hostname=self.host)


@dataclass
class SteadyTls(Steady):
    name: str = ""
    rate: int = 100

    def _connection(self) -> http.client.HTTPConnection:
        return Connection((self.address[0], 443), self.name)


def steady(server: Server, project: str) -> Steady:
    return Steady(server.http, headers={"Host": NAMES[project]}, rate=100)


def set_up(server: Server, project: str, **settings: str) -> None:
    for name, value in settings.items():
        server.host.run("sed", "-i", f"s|^{name}=.*|{name}={value}|", f"/etc/{project}/{project}.env")


def install(server: Server, project: str, *options: str) -> tuple[int, str]:
    """The status and the output of the project's installer."""
    where = {"daybook": DIRECTORY, SHOP: WHERE}[project]
    done = server.host.attempt("sh", "-c", f"cd {where} && {server.form}/install {' '.join(options)} 2>&1", seconds_max=150)
    return done.returncode, done.stdout


def status(server: Server, name: str, path: str = "/") -> int:
    return ask(server.http, path=path, host=name).status


def files_of_daybook(server: Server) -> str:
    """The digests of all files that daybook's installer wrote, and of the front."""
    return server.shell(
        """
        find /etc/daybook /etc/systemd/system /etc/containers /etc/tmpfiles.d /etc/haproxy/sites.d /usr/local -type f \\
            -not -path '*my-shop*' -not -path '*my_shop*' -exec sha256sum {} + | sort -k 2
        """
    )


@pytest.fixture(scope="module")
def shop(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project of `make new`, on the server but not installed."""
    project = make_project(REPOSITORY, tmp_path_factory.mktemp("projects") / SHOP)
    server.host.put(project, WHERE)
    server.host.run("sed", "-i", "s/^HAPROXY_RATE_LIMIT=.*/HAPROXY_RATE_LIMIT=off/", f"{WHERE}/server/{SHOP}.env")
    server.shell(f"cd {WHERE}\n{IMAGES if server.form == 'quadlet' else PROGRAM}".replace("\n    ", "\n"), seconds_max=150)
    return SHOP


def test_a_server_that_runs_is_switched_on_purpose(server: Server):
    set_up(server, "daybook", SITES=NAMES["daybook"])
    before = files_of_daybook(server)
    code, said = install(server, "daybook")
    assert (code, said) == (
        1, f"{server.form}/install: SITES has changed between 'off' and names, and the ports close for a moment: run it again with --restart\n"
    )
    assert files_of_daybook(server) == before
    assert ask(server.http).status == 200


@pytest.mark.parametrize("sites", ["off", NAMES[SHOP]])
def test_a_project_that_has_port_80_to_itself_is_named(server: Server, shop: str, sites: str):
    server.shell(f"sed -i s/^SITES=.*/SITES={sites}/ {WHERE}/server/{shop}.env")
    code, said = install(server, shop)
    assert (code, said) == (
        1, f"{server.form}/install: port 80 belongs to haproxy.socket: set SITES in both projects, and run the installer of that one"
        " with --restart first\n",
    )


def test_the_switch_puts_the_front_before_haproxy(server: Server, figure):
    with steady(server, "daybook") as load:
        time.sleep(1)
        code, said = install(server, "daybook", "--restart")
        time.sleep(1)
    assert code == 0 and "restart haproxy.socket\n" in said, said
    assert server.units("haproxy-sites*") == ["haproxy-sites.service", "haproxy-sites.socket"]
    assert (status(server, NAMES["daybook"]), status(server, "unknown.test"), status(server, server.host.address)) == (200, 421, 421)
    assert install(server, "daybook") == (0, "nothing to change\n")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    figure(f"the switch: {load}")


@pytest.mark.parametrize("sites, says", [
    ("off", "SITES is 'off' in the settings, but the project daybook shares this server's ports: write on, or this project's host names"),
    ("on", "SITES is 'on' in the settings, and ACME_DOMAINS is empty: write this project's host names in either"),
    ("shop.test,DAYBOOK.test", "the project daybook has the name daybook.test on this server (/etc/haproxy/sites.d/daybook.map): remove it"
     " from the settings of one of the two"),
    ("shop_1.test", "SITES has `shop_1.test`, which is no host name: write `example.org,www.example.org`"),
])
def test_the_installer_refuses_what_would_take_a_name_from_another(server: Server, shop: str, sites: str, says: str):
    server.shell(f"sed -i s/^SITES=.*/SITES={sites}/ {WHERE}/server/{shop}.env")
    before = files_of_daybook(server)
    code, said = install(server, shop)
    assert code != 0 and said == f"{server.form}/install: {says}\n"
    assert files_of_daybook(server) == before
    assert server.host.attempt("ls", f"/etc/{shop}").returncode != 0


def test_a_second_project_costs_the_first_no_request_and_changes_no_file_of_it(server: Server, shop: str, figure):
    server.shell(f"sed -i 's/^SITES=.*/SITES={NAMES[shop]},*.{NAMES[shop]}/' {WHERE}/server/{shop}.env")
    before = files_of_daybook(server)
    with steady(server, "daybook") as load:
        time.sleep(1)
        code, said = install(server, shop)
        time.sleep(1)
    assert code == 0 and "reload haproxy-sites.service\n" in said, said
    assert load.failures == []
    assert files_of_daybook(server) == before
    for name in (NAMES[shop], f"www.{NAMES[shop]}"):
        eventually(30, lambda: status(server, name) == 200, "it serves")
    assert (status(server, NAMES["daybook"]), status(server, "unknown.test")) == (200, 421)
    assert install(server, shop) == install(server, "daybook") == (0, "nothing to change\n")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")
    figure(f"meanwhile on the first: {load}")


def test_each_records_its_own_requests_with_the_clients_address(server: Server, shop: str):
    assert status(server, NAMES["daybook"], "/who-daybook") == status(server, NAMES[shop], "/who-shop") == 200
    other = str(server.database).replace("daybook-data", f"{shop}-data").replace("private/daybook", f"private/{shop}")
    query = "select path, remote_addr from requests where path like '/who-%'"
    assert server.rows(query) == [("/who-daybook", server.host.gateway)]
    assert server.rows(query, database=Path(other)) == [("/who-shop", server.host.gateway)]


@pytest.mark.parametrize("what", ["restart", "reload"])
@pytest.mark.parametrize("unit", ["daybook", SHOP, "front"])
def test_a_restart_or_reload_of_one_haproxy_costs_no_request(server: Server, shop: str, unit: str, what: str, figure):
    with steady(server, "daybook") as ours, steady(server, shop) as theirs:
        time.sleep(1)
        server.host.run("systemctl", what, HAPROXY.get(unit, "haproxy-sites"))
        time.sleep(2)
    assert (ours.failures, theirs.failures) == ([], [])
    figure(f"{ours}; {theirs}")


def test_a_stopped_project_leaves_the_other_alone(server: Server, shop: str):
    with steady(server, "daybook") as load:
        server.host.run("systemctl", "stop", f"{shop}.target")
        with pytest.raises((OSError, http.client.HTTPException)):
            status(server, NAMES[shop])
        server.host.run("systemctl", "start", f"{shop}.target", seconds_max=90)
    assert load.failures == []
    eventually(30, lambda: status(server, NAMES[shop]) == 200, "it serves")


def certificate(server: Server, name: str) -> bytes | None:
    """The certificate that the server sends for that name; none if it closes the connection."""
    connection = Connection((server.host.address, 443), name)
    try:
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        return connection.sock.getpeercert(binary_form=True)
    except OSError:
        return None
    finally:
        connection.close()


def test_each_has_its_own_certificate(server: Server, shop: str, figure):
    assert [certificate(server, name) for name in NAMES.values()] == [None, None]
    for project, name in NAMES.items():
        with steady(server, "daybook" if project == shop else shop) as load:
            server.shell(
                f"""
                openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test -days 9 \\
                    -addext subjectAltName=DNS:{name} -keyout /root/{project}.key -out /root/{project}.pem
                {project}-certificate use /root/{project}.pem /root/{project}.key
                """
            )
        assert [failure for failure in load.failures if not failure.endswith(": 308")] == []
        sent = ssl.DER_cert_to_PEM_cert(eventually(10, lambda: certificate(server, name), "it serves TLS"))
        assert sent.strip() == server.host.run("cat", f"/root/{project}.pem").strip()
        redirect = ask(server.http, path="/x", host=name)
        assert (redirect.status, redirect.headers["location"]) == (308, f"https://{name}/x")
    assert certificate(server, "unknown.test") is None
    with SteadyTls(server.http, name=NAMES["daybook"]) as load:
        for unit in (HAPROXY[shop], "haproxy", "haproxy-sites"):
            server.host.run("systemctl", "restart", unit)
    assert load.failures == []
    figure(f"three restarts: {load}")


def test_a_deploy_finds_the_project_behind_the_front(server: Server):
    if server.form == "systemd":
        pytest.skip("systemd/ has no deploys")
    code = "import sys; sys.path.append('/usr/local/lib/daybook'); import checks; print(checks.haproxy_redirects_to_tls()); " \
        "print(checks.exchange(checks.haproxy_connection(True), 'POST', '/deploy', 'x', {'X-Daybook-Replica': '1'})[:2])"
    assert server.host.run("python3", "-c", code) == "True\n(200, b'x')\n"
    assert server.rows("select remote_addr from requests where path = '/deploy'") == [("127.0.0.1",)]


def test_a_newer_front_replaces_an_older_one_and_an_older_one_replaces_none(server: Server, shop: str):
    front = "/etc/haproxy/sites.d/00-front.cfg"
    server.shell("sed -i '1s/.*/# Version 1000/' server/sites/00-front.cfg")
    with SteadyTls(server.http, name=NAMES[shop]) as load:
        code, said = install(server, "daybook", "--restart")
    assert (code, said) == (0, f"update {front}\nrestart haproxy-sites.service\n")
    assert install(server, shop) == (0, "nothing to change\n")
    assert server.host.run("head", "-n", "1", front) == "# Version 1000\n"
    assert load.failures == []


def test_after_a_reboot_both_serve(server: Server, shop: str):
    server.host.reboot()
    for name in NAMES.values():
        eventually(90, lambda: certificate(server, name), "it serves TLS")
    eventually(30, lambda: server.failed_units() == [], "no unit has failed")


def test_the_last_project_gets_the_ports_back(server: Server, shop: str):
    set_up(server, "daybook", SITES="off")
    code, said = install(server, "daybook", "--restart")
    assert code != 0 and f"the project {shop} shares this server's ports" in said
    server.shell(
        f"""
        systemctl disable --now --quiet {shop}.target
        rm /etc/haproxy/sites.d/{shop}.*
        systemctl reload haproxy-sites
        """
    )
    assert status(server, NAMES[shop]) == 421
    code, said = install(server, "daybook", "--restart")
    assert code == 0, said
    assert server.units("haproxy-sites*") == []
    assert server.host.run("ls", "--almost-all", "/etc/haproxy/sites.d") == ""
    assert server.host.run("find", "/etc/systemd", "/etc/containers", "/etc/tmpfiles.d", "-name", "haproxy-sites*") == ""
    assert certificate(server, "any.test") is not None
    assert ask(server.http, host="any.test").status == 308
    assert install(server, "daybook") == (0, "nothing to change\n")
