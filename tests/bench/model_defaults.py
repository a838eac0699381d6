"""Writes `attnprof/models/defaults.json` anew from the config classes of the installed transformers.

    python tests/bench/model_defaults.py > attnprof/models/defaults.json

`tests/unit/models/test_readers.py` holds the shipped table against those classes where transformers is installed.
"""

from __future__ import annotations

import json

from attnprof.models.installed import class_aliases, class_defaults
from attnprof.models.readers import READERS


def main() -> None:
    """One line a model type: its defaults, and other names of its keys."""
    lines = [
        f"{json.dumps(name)}: "
        + json.dumps({"defaults": class_defaults(name), "aliases": class_aliases(name)}, sort_keys=True)
        for name in sorted(READERS)
    ]
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
