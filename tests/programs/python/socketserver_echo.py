"""An echo server of lines, of the module `socketserver`."""

import socketserver


class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        print("client", *self.client_address, flush=True)
        for line in self.rfile:
            self.wfile.write(line)


def main():
    with socketserver.TCPServer(("0.0.0.0", 7000), Echo) as server:
        server.serve_forever()


def main_with_threads():
    with socketserver.ThreadingTCPServer(("0.0.0.0", 7000), Echo) as server:
        server.serve_forever()
