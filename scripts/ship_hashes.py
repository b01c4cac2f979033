"""Write the weights hashes of the embedded codecs, by which files of version 1 are recognized.

Run: python scripts/ship_hashes.py
"""

import json

from common import run

from latentopt import zoo
from latentopt.zoo.embedded import EMBEDDED
from latentopt.zoo.shipped_hashes import PATH
from latentopt.zoo.writer import hash_of


def hashes() -> dict[str, dict[str, str]]:
    """Of each embedded codec, by quality."""
    return {
        name: {str(q): hash_of(zoo.load(name, q)).hex() for q in EMBEDDED.qualities(name)}
        for name in EMBEDDED.names()
    }


def main() -> None:
    PATH.write_text(json.dumps(hashes(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
