"""What the benchmark's runs come to: medians, a table and a plot."""
from __future__ import annotations
import json
from pathlib import Path
from typing import Any

def name(case):
    return f"{case['width']}x{case['height']}@{case['fps']} {case['peer']}"

def line(case):
    r = case["receiver_cpu_ms"]
    return (f"{name(case)}: {case['frames_a_second']:.1f} fps, {case['bytes_a_second']/1e6:.0f} MB/s, "
      f"A {case['sender_cpu_ms']:.2f} ms ({case['sender_busy']:.0%}), B {r and round(r,2)} ms ({case['receiver_busy']:.0%}) mem {case['sender_memory']} {case['receiver_memory']}")

def write(results, folder):
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
