"""The application that daybook grew out of, rebuilt from its description: Python, waitress with four threads, one SQLite
connection per thread, one row and transaction per request. Usage: app.py ADDRESS:PORT DATABASE"""

import socket
import sqlite3
import sys
import threading
import time

import waitress

TABLE = """
    create table if not exists requests (
        id integer primary key autoincrement,
        timestamp real not null,
        method text not null,
        path text not null,
        content_length integer not null,
        remote_addr text
    )
"""
PRAGMAS = ("journal_mode=WAL", "busy_timeout=10000", "synchronous=normal", "temp_store=memory")
INSERT = "insert into requests (timestamp, method, path, content_length, remote_addr) values (?, ?, ?, ?, ?)"


class Recorder:
    """One connection per thread."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._local = threading.local()
        self._connection().execute(TABLE)

    def _connection(self) -> sqlite3.Connection:
        if not hasattr(self._local, "connection"):
            connection = sqlite3.connect(self._database, isolation_level=None)
            for pragma in PRAGMAS:
                connection.execute(f"pragma {pragma}")
            self._local.connection = connection
        return self._local.connection

    def write(self, environ: dict, content_length: int) -> None:
        connection = self._connection()
        connection.execute("begin immediate")
        try:
            row = (time.time(), environ["REQUEST_METHOD"], environ["PATH_INFO"], content_length, environ.get("REMOTE_ADDR"))
            connection.execute(INSERT, row)
            connection.execute("commit")
        except BaseException:
            connection.execute("rollback")
            raise


def main() -> None:
    address, database = sys.argv[1:]
    recorder = Recorder(database)

    def app(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        recorder.write(environ, len(body))
        start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
        return [body]

    host, _, port = address.rpartition(":")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, int(port)))
    # The default limit of 100 includes waitress's own connections: the original refused some of 100 clients.
    waitress.serve(app, sockets=[listener], connection_limit=5000)


if __name__ == "__main__":
    main()
