#!/usr/bin/env python3
"""What a change brings: builds of the server, pair by pair, over a link with a delay.

    run.py --tools DIR --out FILE [--link loopback|lan|1ms|10ms]... [--row NAME]... [--pairs N] [--hostile] VARIANT...

DIR has the programs `relay` and `client` (cc -O2 -pthread), builds of `evconn`, and the components.
A variant is NAME=PROGRAM, or "NAME=PROGRAM FLAGS", such as "one=evconn --processes 0"; the others are compared with the one that is called `base`. Needs root, for network
namespaces and TUN devices. Each measurement is a line of JSON in FILE; report.py makes tables of them.
"""

import argparse
import glob
import json
import os
import random
import shlex
import subprocess
import sys
import time

CLIENT, SERVER = "link-clients", "link-server"
ADDRESS = {CLIENT: "10.77.0.1", SERVER: "10.77.0.2"}
DELAYS = {"lan": 0, "1ms": 1000, "10ms": 10000}


def hexed(text):
    return text.encode().hex() or "-"


# Component, mode, connections, prologue, request, size of the reply, operations in a request.
BYTES = "x" * 64
ROWS = {
    "connect-1": ("echo", "connect", 1, "", BYTES, 64, 1),
    "connect-50": ("echo", "connect", 50, "", BYTES, 64, 1),
    "round-1": ("echo", "round", 1, "", BYTES, 64, 1),
    "round-50": ("echo", "round", 50, "", BYTES, 64, 1),
    "round-copy-50": ("echo-copy", "round", 50, "", BYTES, 64, 1),
    "kv-pipelined-20": ("kv", "round", 20, "", "*1\r\n$4\r\nPING\r\n" * 16, 7 * 16, 16),
    "line-pipelined-20": ("line", "round", 20, "", "ECHO hello\n" * 16, 9 * 16, 16),
    "dribble-1": ("link_guest", "round", 1, "d", "x", 128, 1),
    "dribble-50": ("link_guest", "round", 50, "d", "x", 128, 1),
    "chat-20": ("chat", "crowd", 20, "somebody\n", "hello, all of you\n", 28, 1),
    "bulk-1": ("echo", "bulk", 1, "", "", 0, 1),
    "bulk-8": ("echo", "bulk", 8, "", "", 0, 1),
    "copy-1": ("echo-copy", "bulk", 1, "", "", 0, 1),
    "copy-8": ("echo-copy", "bulk", 8, "", "", 0, 1),
    # Beside hostile connections.
    "beside-0": ("link_guest", "round", 100, "e", BYTES, 64, 1),
    "beside-spin": ("link_guest", "round", 100, "e", BYTES, 64, 1),
    "beside-spin-later": ("link_guest", "round", 100, "e", BYTES, 64, 1),
    "beside-nap": ("link_guest", "round", 100, "e", BYTES, 64, 1),
}
HOSTILE = {"beside-spin": "s", "beside-spin-later": "s", "beside-nap": "n"}
# How long the hostile ones have been there when it begins.
SINCE = {"beside-spin": 0.5, "beside-spin-later": 5, "beside-nap": 2}


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def inside(namespace, *command):
    return ["ip", "netns", "exec", namespace, *map(str, command)]


class Network:
    """Two namespaces, joined by the relay."""

    def __init__(self, tools):
        self.tools = tools
        self.relay = None
        for namespace in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", namespace], stderr=subprocess.DEVNULL)
            run("ip", "netns", "add", namespace)
            run(*inside(namespace, "ip", "link", "set", "lo", "up"))
            run(*inside(namespace, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1"))
            run(*inside(namespace, "sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 64000"))

    def link(self, name):
        self.unlink()
        if name == "loopback":
            return
        devices = {CLIENT: "link0", SERVER: "link1"}
        command = [f"{self.tools}/relay", str(DELAYS[name]), *devices.values()]
        self.relay = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.relay.stdout.readline() == "ready\n"
        for namespace, device in devices.items():
            run("ip", "link", "set", device, "netns", namespace)
            run(*inside(namespace, "ip", "addr", "add", ADDRESS[namespace] + "/24", "dev", device))
            run(*inside(namespace, "ip", "link", "set", device, "txqueuelen", 10000, "up"))

    def unlink(self):
        if self.relay:
            self.relay.terminate()
            print("relay:", self.relay.communicate()[0].strip().replace("\n", "; "), file=sys.stderr)
            self.relay = None

    def close(self):
        self.unlink()
        for namespace in (CLIENT, SERVER):
            run("ip", "netns", "del", namespace)


class Client:
    def __init__(self, tools, link, port, row, seconds, connections=None, mode=None, prologue=None):
        _, usual, count, first, request, reply, _ = ROWS[row]
        namespace, address = (SERVER, "127.0.0.1") if link == "loopback" else (CLIENT, ADDRESS[SERVER])
        command = [f"{tools}/client", mode or usual, address, port, connections or count, seconds]
        command += [hexed(first if prologue is None else prologue), hexed(request), reply]
        self.process = subprocess.Popen(
            inside(namespace, *command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert line == "ready\n", line

    def measure(self, pid):
        before = cpu_times(pid)
        self.say()
        line = self.process.stdout.readline()
        after = cpu_times(pid)
        self.say()
        assert self.process.wait() == 0
        operations, elapsed, p50, p99 = map(float, line.split())
        return operations, elapsed, p50, p99, cpu_time(before, after)

    def say(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.say()
        self.say()
        self.process.wait()


def cpu_times(pid):
    """The kernel's exact count for a process and each of its descendants (see clock_getcpuclockid)."""
    times = {}
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        try:
            times[process] = time.clock_gettime((~process << 3) | 2)
            for children in glob.glob(f"/proc/{process}/task/*/children"):
                with open(children) as numbers:
                    waiting += map(int, numbers.read().split())
        except OSError:
            # A child that has ended does not count.
            if process == pid:
                raise
    return times


def cpu_time(before, after):
    """The processor time of the processes that run at the end."""
    return sum(time - before.get(process, 0) for process, time in after.items())


class Server:
    def __init__(self, tools, variant, component, port):
        name, program = variant.split("=", 1)
        self.name, self.port = name, port
        verb = "run" if component == "chat" else "serve"
        program, *flags = shlex.split(program)
        command = [f"{tools}/{program}", verb, *flags, "--listen", f"0.0.0.0:{port}", f"{tools}/{component}.wasm"]
        if component == "chat":
            command.append(f"0.0.0.0:{port}")
        environment = dict(os.environ, RUST_LOG="error")
        self.process = subprocess.Popen(
            inside(SERVER, *command), env=environment, stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert "istening" in line, (variant, line)

    def stop(self):
        self.process.kill()
        self.process.wait()


def measure(options, out, link, row, server, number, seconds):
    client = Client(options.tools, link, server.port, row, seconds)
    operations, elapsed, p50, p99, cpu = client.measure(server.process.pid)
    operations *= ROWS[row][6]
    record = dict(link=link, row=row, pair=number, variant=server.name, rate=operations / elapsed)
    record.update(p50=p50, p99=p99, cpu=cpu / max(operations, 1) * 1e6, load=os.getloadavg()[0])
    out.write(json.dumps(record) + "\n")
    out.flush()


def measure_beside(options, out, link, row, first_port):
    """A server for each measurement: hostile guests may not end with their peers."""
    for number in range(options.pairs):
        variants = options.variants[::-1] if number % 2 else options.variants
        for variant in variants:
            server = Server(options.tools, variant, ROWS[row][0], first_port)
            hostile = None
            try:
                # The well-behaved ones are there before: how long a connection takes is another question.
                client = Client(options.tools, link, server.port, row, options.seconds)
                if row in HOSTILE:
                    hostile = Client(options.tools, "loopback", server.port, row, 0, 100, "hold", HOSTILE[row])
                    time.sleep(SINCE[row])
                operations, elapsed, p50, p99, cpu = client.measure(server.process.pid)
                record = dict(link=link, row=row, pair=number, variant=server.name, rate=operations / elapsed)
                record.update(p50=p50, p99=p99, cpu=cpu / max(operations, 1) * 1e6, load=os.getloadavg()[0])
                out.write(json.dumps(record) + "\n")
                out.flush()
            finally:
                if hostile:
                    hostile.process.kill()
                    hostile.process.wait()
                server.stop()


def seconds_of(options, link, row):
    mode = ROWS[row][1]
    return options.seconds * (2 if link == "10ms" and mode in ("bulk", "connect") else 1)


def measure_row(options, out, link, row, first_port):
    if row.startswith("beside"):
        return measure_beside(options, out, link, row, first_port)
    component = ROWS[row][0]
    servers = [
        Server(options.tools, variant, component, first_port + number)
        for number, variant in enumerate(options.variants)
    ]
    seconds = seconds_of(options, link, row)
    order = list(servers)
    try:
        for server in servers:
            client = Client(options.tools, link, server.port, row, 0.1)
            client.measure(server.process.pid)
        for number in range(options.pairs):
            random.shuffle(order)
            for server in order:
                measure(options, out, link, row, server, number, seconds)
    finally:
        for server in servers:
            server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--link", action="append", choices=["loopback", *DELAYS])
    parser.add_argument("--row", action="append", choices=list(ROWS))
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("variants", nargs="+")
    options = parser.parse_args()
    links = options.link or ["loopback", *DELAYS]
    rows = options.row or [row for row in ROWS if not row.startswith("beside")]
    network = Network(options.tools)
    port = 2000
    try:
        with open(options.out, "a") as out:
            for link in links:
                network.link(link)
                for row in rows:
                    print(time.strftime("%H:%M:%S"), link, row, file=sys.stderr)
                    measure_row(options, out, link, row, port)
                    port += len(options.variants)
    finally:
        network.close()


main()
