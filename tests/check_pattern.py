"""Check a dump of the built-in source: `check_pattern.py BYTES_A_FRAME HEIGHT DUMP`.

Prints, as JSON, how many frames there are and the numbers of those that differ.
"""

import json
import sys
from pathlib import Path

from reference import pattern


def main() -> None:
    size, height = int(sys.argv[1]), int(sys.argv[2])
    wrong = []
    count = 0
    with Path(sys.argv[3]).open("rb") as file:
        while frame := file.read(size):
            if frame != pattern(count, size, height):
                wrong.append(count)
            count += 1
    print(json.dumps([count, wrong]))


main()
