"""Builds and runs the program, and again after each change of a source file. See scripts/dev."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import tomllib
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

# A build reads these, as far as they exist.
SOURCES = ["src", "migrations", "static", "templates", "build.rs", "Cargo.toml", "Cargo.lock", "daybook.toml"]
# An editor writes several files for one save.
QUIET_SECONDS = 0.05


class Changes(FileSystemEventHandler):
    """Notices changed files; waiting for the next change forgets the former ones."""

    def __init__(self):
        self.changed = threading.Event()

    def on_any_event(self, event):
        if event.event_type in ("modified", "created", "deleted", "moved") and not event.is_directory:
            self.changed.set()

    def wait(self):
        self.changed.wait()
        while self.changed.is_set():
            self.changed.clear()
            time.sleep(QUIET_SECONDS)


def build():
    """Returns the program's path, or None if it does not compile; cargo prints why."""
    command = ["cargo", "build", "--message-format", "json-render-diagnostics"]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    programs = [message["executable"] for message in messages if message.get("executable")]
    return programs[-1] if result.returncode == 0 and programs else None


def listen(program):
    """Opens the first TCP address of `listen`."""
    shown = subprocess.run([program, "config"], stdout=subprocess.PIPE, text=True)
    if shown.returncode:
        raise SystemExit(shown.returncode)
    configured = tomllib.loads(shown.stdout)["listen"]
    addresses = [configured] if isinstance(configured, str) else configured
    tcp = [address for address in addresses if not address.startswith(("unix:", "fd:"))]
    if not tcp:
        raise SystemExit(f"scripts/dev: listen is {configured}: it needs a TCP address, such as 127.0.0.1:8080")
    host, port = tcp[0].rsplit(":", 1)
    host = host.strip("[]")
    try:
        listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise SystemExit(f"scripts/dev: {host}:{port}: {error.strerror}: stop the program that uses it, or set listen") from None
    print(f"http://{host}:{listener.getsockname()[1]}/  Save a file to build and start again. To stop: Ctrl-C", flush=True)
    return listener


def start(program, listener):
    """Passes the socket by systemd's protocol: as file descriptor 3, with the process's own number in LISTEN_PID."""
    environment = os.environ | {"DAYBOOK_LISTEN": "fd:dev", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "dev"}
    socket_number = listener.fileno()
    command = ["sh", "-c", f'LISTEN_PID=$$ exec "$0" serve 3<&{socket_number}', program]
    return subprocess.Popen(command, env=environment, pass_fds=[socket_number])


def stop(server):
    """The program sends its open responses, then exits."""
    if server and server.poll() is None:
        server.terminate()
        server.wait()


def main():
    changes = Changes()
    observer = Observer()
    for source in filter(Path.exists, map(Path, SOURCES)):
        observer.schedule(changes, str(source), recursive=source.is_dir())
    observer.start()

    server = None
    listener = None
    try:
        while True:
            began = time.monotonic()
            program = build()
            if program:
                listener = listener or listen(program)
                stop(server)
                server = start(program, listener)
                print(f"built and started in {time.monotonic() - began:.1f} s", flush=True)
            changes.wait()
            print("a file has changed: building", flush=True)
    except KeyboardInterrupt:
        stop(server)
        raise SystemExit(128 + signal.SIGINT) from None


main()
