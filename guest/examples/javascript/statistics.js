// A service that adds up: each line is a JSON array of numbers, and one line of JSON answers it.
//
// What evconn calls is exported under the name of its interface, in JavaScript's spelling.

// The most bytes of a line, without its end.
const MAX_LINE = 4096;

// What a read takes at most, and what `blockingWriteAndFlush` takes at a time.
const PIECE = 4096;

export const handler = {
  handle({ input, output, socket }) {
    try {
      serve(input, output);
    } catch (error) {
      // The peer is gone, which ends the connection. The text is for evconn's log.
      throw explain(error);
    } finally {
      // The socket is to be the last one.
      for (const part of [input, output, socket]) part[Symbol.dispose]();
    }
  },
};

function serve(input, output) {
  for (const line of lines(input)) {
    if (line === undefined) {
      // Where the next one begins is not known.
      send(output, { error: `a line has at most ${MAX_LINE} bytes, and an end` });
      return;
    }
    send(output, answer(line));
  }
}

// The lines of a stream as bytes, without their ends. Undefined is what is none, and the last thing.
function* lines(input) {
  let rest = [];
  for (let data = read(input); data.length > 0; data = read(input)) {
    for (const byte of data) {
      if (byte === 10) {
        yield new Uint8Array(rest);
        rest = [];
      } else if (rest.push(byte) > MAX_LINE) {
        yield undefined;
        return;
      }
    }
  }
  if (rest.length > 0) yield undefined;
}

// At least a byte, or none at the end.
function read(input) {
  try {
    return input.blockingRead(BigInt(PIECE));
  } catch (error) {
    if (error.payload?.tag === "closed") return new Uint8Array();
    throw error;
  }
}

function send(output, value) {
  const data = new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  for (let start = 0; start < data.length; start += PIECE) {
    output.blockingWriteAndFlush(data.subarray(start, start + PIECE));
  }
}

function answer(line) {
  try {
    return statistics(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(line)));
  } catch {
    return { error: "it is no JSON array of numbers" };
  }
}

function statistics(numbers) {
  if (!Array.isArray(numbers) || !numbers.every((number) => typeof number === "number")) {
    throw new TypeError("something else");
  }
  const sum = numbers.reduce((sum, number) => sum + number, 0);
  const count = numbers.length;
  return { count, sum, mean: count > 0 ? sum / count : null };
}

function explain(error) {
  switch (error.payload?.tag) {
    case "closed":
      return "the peer takes no more";
    case "last-operation-failed":
      return error.payload.val.toDebugString();
    default:
      return `${error}\n${error.stack}`;
  }
}
