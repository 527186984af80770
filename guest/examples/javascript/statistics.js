// A service that computes statistics: each line is a JSON array of numbers, and the answer is a line of JSON.
//
// The handler is exported under the name of its interface, in JavaScript's spelling.

// The maximum length of a line in bytes, without its end.
const MAX_LINE = 4096;

// The maximum length of one read, and of one `blockingWriteAndFlush`.
const PIECE = 4096;

export const handler = {
  handle({ input, output, socket }) {
    try {
      serve(input, output);
    } catch (error) {
      // The peer is gone, which ends the connection. The text is written to evconn's log.
      throw explain(error);
    } finally {
      // The socket has to be the last.
      for (const part of [input, output, socket]) part[Symbol.dispose]();
    }
  },
};

function serve(input, output) {
  for (const line of lines(input)) {
    if (line === undefined) {
      // The beginning of the next line is unknown.
      send(output, { error: `a line has at most ${MAX_LINE} bytes, and an end` });
      return;
    }
    send(output, answer(line));
  }
}

// Yields the lines of a stream as bytes, without their ends. Yields undefined for a line that is too long or has
// no end, and then stops.
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

// Returns at least one byte, or none at the end of the stream.
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
