"""The echo server of asyncio's documentation, which goes on until its client has ended."""

import asyncio


async def handle_echo(reader, writer):
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def serve():
    server = await asyncio.start_server(handle_echo, "127.0.0.1", 8888)
    addresses = ", ".join(str(socket.getsockname()) for socket in server.sockets)
    print(f"Serving on {addresses}", flush=True)
    async with server:
        await server.serve_forever()


def main():
    asyncio.run(serve())
