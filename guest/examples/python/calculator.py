"""A service that calculates: it evaluates each line, and answers with a line.

The notation is postfix (`1 3 / 1 6 / +`), and results are exact fractions (`1/2`).

The names in `wit_world` are those of the WIT package, in Python's spelling.
"""

import io
import operator
from fractions import Fraction

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.connection import Connection
from wit_world.imports.streams import InputStream, OutputStream, StreamError_Closed

# The maximum length of a line in bytes, including its end.
MAX_LINE = 1024

# The maximum length of one `blocking_write_and_flush`.
MAX_WRITE = 4096

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class Handler(exports.Handler):
    """The exported interface, which evconn calls."""

    def handle(self, connection: Connection) -> None:
        # They are dropped in reverse order: the socket has to be the last.
        with connection.socket, connection.output, connection.input:
            try:
                serve(io.BufferedReader(Input(connection.input)), connection.output)
            except Err as error:
                # The peer is gone, which ends the connection. The text is written to evconn's log.
                raise Err(explain(error.value)) from None


class Input(io.RawIOBase):
    """The input stream as a file, for `io.BufferedReader` to read lines from."""

    def __init__(self, stream: InputStream):
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            data = self.stream.blocking_read(len(buffer))
        except Err as error:
            if isinstance(error.value, StreamError_Closed):
                return 0
            raise
        buffer[: len(data)] = data
        return len(data)


def serve(lines: io.BufferedReader, output: OutputStream) -> None:
    while line := lines.readline(MAX_LINE):
        if not line.endswith(b"\n"):
            # The beginning of the next line is unknown.
            send(output, f"error: a line has at most {MAX_LINE} bytes, and an end")
            return
        send(output, answer(line))


def send(output: OutputStream, line: str) -> None:
    data = f"{line}\n".encode()
    for start in range(0, len(data), MAX_WRITE):
        output.blocking_write_and_flush(data[start : start + MAX_WRITE])


def answer(line: bytes) -> str:
    try:
        return str(value(line.decode().split()))
    except ZeroDivisionError:
        return "error: it divides by zero"
    except (ValueError, IndexError):
        return "error: it takes whole numbers and + - * /, each after its two numbers"


def value(words: list[str]) -> Fraction:
    stack = []
    for word in words:
        if word in OPERATORS:
            right, left = stack.pop(), stack.pop()
            stack.append(OPERATORS[word](left, right))
        else:
            stack.append(Fraction(int(word)))
    (result,) = stack
    return result


def explain(error) -> str:
    if isinstance(error, StreamError_Closed):
        return "the peer takes no more"
    return error.value.to_debug_string()
