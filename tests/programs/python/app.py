"""Servers of Python's standard library, and one of bottle: an argument says which of them to run.

    evconn wit -o wit
    componentize-py -d wit -w wasi:cli/command componentize app -o app.wasm
"""

# Python imports these when a server starts. A component has the modules that were imported when it was built.
import encodings.idna  # noqa: F401
import wsgiref.simple_server  # noqa: F401

import http.server
import sys

import asyncio_echo
import bottle_hello
import socketserver_echo
from wit_world import exports

SERVERS = {
    "socketserver": socketserver_echo.main,
    "asyncio": asyncio_echo.main,
    "bottle": bottle_hello.main,
    # What `python -m http.server` calls, but for its class, which starts threads.
    "http": lambda: http.server.test(http.server.SimpleHTTPRequestHandler, http.server.HTTPServer),
    "threads": socketserver_echo.main_with_threads,
}


class Run(exports.Run):
    def run(self):
        SERVERS[sys.argv[1]]()
