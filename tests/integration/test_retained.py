"""What a group of leaked goroutines holds, as reported, against what Go frees once it is gone."""

import re
import subprocess

import futures


def freed(coreanalyze, binary, seed):
    """What is reported of each group, and what came back when it was cut loose."""
    process = subprocess.Popen([str(binary), str(seed)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        document = coreanalyze.json("leaks", "-p", process.pid)
        out, _ = process.communicate("go\n", timeout=60)
    finally:
        process.kill()
        process.wait()
    return document, dict(re.findall(r"freed (\S+) (-?\d+)", out))


def test_retained(coreanalyze, record, toolchain, full):
    binary = futures.compiled(toolchain, "retained")
    worst = 0
    for seed in range(1, 6 if full else 2):
        document, really = freed(coreanalyze, binary, seed)
        groups = {group["site"]["function"].replace("main.", ""): group
                  for group in document["groups"] if group["verdict"] == "leaked"}
        assert len(really) == 11 and len(groups) == 12
        for name, bytes_ in really.items():
            parts = [groups.pop(part) for part in name.split("+")]
            ours = sum(part["retained"]["heap_bytes"] for part in parts)
            if len(parts) > 1:  # what they hold together comes back with the last of them
                together = re.findall(r"(\d+) more bytes", str([p["evidence"] for p in parts]))
                assert len(together) == len(parts)
                ours += int(together[0])
            off = abs(ours - int(bytes_)) / int(bytes_)
            worst = max(worst, off)
            assert off < 0.02, f"seed {seed}, {name}: {ours} for {bytes_}"
    record.lines.append(f"retained, {toolchain}: within {worst:.2%} of what Go frees")
