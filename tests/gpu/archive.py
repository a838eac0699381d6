"""One archive of all results, of a bounded size: the largest raw samples are thinned, then the largest files left."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_BYTES = 16 * 10**6
KEPT_SAMPLES = 5
ALWAYS = ("result.json", "summary.json", "tables.md", "said.json")


@dataclass(slots=True)
class Packed:
    """The size of an archive; the files whose samples were thinned, and those that had to be left out."""

    size_bytes: int = 0
    thinned: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What a reader of the archive has to know."""
        thinned = [f"thinned to {KEPT_SAMPLES} samples a point: {name}" for name in self.thinned]
        return [*thinned, *(f"left out: {name}" for name in self.left_out)]

    def to_json(self) -> dict[str, Any]:
        """For the summary."""
        return {"bytes": self.size_bytes, "thinned": self.thinned, "left_out": self.left_out}


def pack(folder: Path, archive: Path, most_bytes: int = MOST_BYTES) -> Packed:
    """Write the archive of a folder, itself left out, in at most `most_bytes`; the folder keeps everything."""
    files = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != archive
    }
    packed = Packed()
    data = _compressed(files, packed)
    while len(data) > most_bytes and _smaller(files, packed):
        data = _compressed(files, packed)
    archive.write_bytes(data)
    packed.size_bytes = len(data)
    return packed


def _smaller(files: dict[str, bytes], packed: Packed) -> bool:
    """Thin the largest file with samples, or, when there is none left, take out the largest; False at the end."""
    raw = [name for name in files if name.endswith(".jsonl") and name not in packed.thinned]
    if raw:
        name = max(raw, key=lambda name: len(files[name]))
        files[name] = thinned(files[name])
        packed.thinned.append(name)
        return True
    spare = [name for name in files if Path(name).name not in ALWAYS]
    if not spare:
        return False
    name = max(spare, key=lambda name: len(files[name]))
    del files[name]
    packed.left_out.append(name)
    return True


def thinned(lines: bytes) -> bytes:
    """JSON lines in which each list of samples keeps a few, evenly taken, the first and the last among them."""
    return b"".join(_line(line) + b"\n" for line in lines.splitlines())


def _line(line: bytes) -> bytes:
    try:
        return json.dumps(_few(json.loads(line))).encode()
    except ValueError:
        return line


def _few(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _thin(v) if k in ("samples", "rounds") and isinstance(v, list) else _few(v) for k, v in value.items()
        }
    return [_few(v) for v in value] if isinstance(value, list) else value


def _thin(samples: list[Any]) -> list[Any]:
    """A list of samples, or of rounds of them."""
    return [_thin(each) for each in samples] if samples and isinstance(samples[0], list) else _even(samples)


def _even(samples: list[Any]) -> list[Any]:
    if len(samples) <= KEPT_SAMPLES:
        return samples
    return [samples[round(i * (len(samples) - 1) / (KEPT_SAMPLES - 1))] for i in range(KEPT_SAMPLES)]


def _compressed(files: dict[str, bytes], packed: Packed) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in {**files, "archive.json": json.dumps(packed.to_json()).encode()}.items():
            entry = tarfile.TarInfo(f"attnprof-gpu/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()
