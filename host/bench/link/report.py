#!/usr/bin/env python3
"""Tables of what run.py has measured: report.py FILE...

For each row: the reference's median figures, then for each variant the median of the ratios to its neighbour, with
the lowest and the highest quartile. Ratios of a rate above 1 and of times below 1 are better than the reference.
"""

import json
import sys
from statistics import median, quantiles



def read(name):
    """Pairs of another file are other pairs."""
    records = [json.loads(line) for line in open(name)]
    return [record | {"pair": (name, record["pair"])} for record in records]


records = [record for name in sys.argv[1:] for record in read(name)]
BASE = "base"
FIGURES = ["cpu", "rate", "p50", "p99"]


def spread(ratios):
    if len(ratios) < 4:
        return f"{median(ratios):.2f}"
    low, _, high = quantiles(ratios, n=4)
    return f"{median(ratios):.2f} ({low:.2f}-{high:.2f})"


keys = list(dict.fromkeys((r["row"], r["link"]) for r in records))
keys.sort(key=lambda key: (list(dict.fromkeys(r["row"] for r in records)).index(key[0])))
print("| row | link | variant | server CPU per op or byte | rate | p50 | p99 | pairs |")
print("| --- | --- | --- | --- | --- | --- | --- | --- |")
for row, link in keys:
    those = [r for r in records if (r["row"], r["link"]) == (row, link)]
    base = {r["pair"]: r for r in those if r["variant"] == BASE}
    scale = 1e6 if row.startswith(("bulk", "copy")) else 1
    values = [median(r[f] for r in base.values()) for f in FIGURES]
    unit = "µs/MB" if scale > 1 else "µs"
    print(f"| {row} | {link} | {BASE} | {values[0] * scale:.2f} {unit} | {values[1] / scale:.0f}{' MB' if scale > 1 else ''}/s"
          f" | {values[2]:.0f} µs | {values[3]:.0f} µs | {len(base)} |")
    for variant in dict.fromkeys(r["variant"] for r in those if r["variant"] != BASE):
        pairs = [(r, base[r["pair"]]) for r in those if r["variant"] == variant and r["pair"] in base]
        cells = [
            spread([r[f] / b[f] for r, b in pairs if b[f]]) if any(b[f] for _, b in pairs) else "-" for f in FIGURES
        ]
        print(f"| | | {variant} | " + " | ".join(cells) + f" | {len(pairs)} |")
