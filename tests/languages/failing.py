"""A service with a bug, as the peer's first line says; and one that drops nothing by itself."""

from componentize_py_types import Err
from wit_world import exports

connections = 0
kept = []


class Handler(exports.Handler):
    def handle(self, connection) -> None:
        global connections
        connections += 1
        what = connection.input.blocking_read(64).decode().strip()
        if what == "count":
            connection.output.blocking_write_and_flush(f"{connections}\n".encode())
            kept.append(connection)
            return
        with connection.socket, connection.output, connection.input:
            connection.output.blocking_write_and_flush(b"half of it")
            if what == "bug":
                raise ValueError("a bug")
            if what == "give up":
                raise Err("it gives up")
