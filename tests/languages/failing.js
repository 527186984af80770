// A service with a bug, as the peer's first line says; and one that drops nothing by itself.

let connections = 0;
const kept = [];

export const handler = {
  handle(connection) {
    const { input, output, socket } = connection;
    connections += 1;
    const what = new TextDecoder().decode(input.blockingRead(64n)).trim();
    if (what === "count") {
      output.blockingWriteAndFlush(new TextEncoder().encode(`${connections}\n`));
      kept.push(connection);
      return;
    }
    try {
      output.blockingWriteAndFlush(new TextEncoder().encode("half of it"));
      if (what === "bug") throw new Error("a bug");
      if (what === "give up") throw "it gives up";
    } finally {
      for (const part of [input, output, socket]) part[Symbol.dispose]();
    }
  },
};
