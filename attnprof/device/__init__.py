"""How time, memory and sensors are read on each device: a file of this folder is one, and alone names it.

Nothing here imports torch before a device is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from attnprof.device.instruments.protocol import Device, Presence
from attnprof.errors import AttnprofError
from attnprof.words import DeviceName

__all__ = ["Device", "Presence", "available", "best_device", "device_named", "devices"]

NOT_FILES = (DeviceName.AUTO, DeviceName.NONE)


def device_named(name: DeviceName | str) -> Device:
    """The device of this name; `auto` is the best that this machine has. Raises `AttnprofError` where there is none."""
    name = available(DeviceName(name)) if name == DeviceName.AUTO else DeviceName(name)
    if name in NOT_FILES:
        raise AttnprofError(f"nothing runs on the device {name.value!r}", hint="--device cpu, or leave it out")
    found = importlib.import_module(f"attnprof.device.{name}").DEVICE
    assert isinstance(found, Device), f"device/{name}.py lacks a part of Device"
    return found


def devices() -> Iterator[Device]:
    """Every device that has a file, whether this machine has it or not."""
    return (device_named(name) for name in DeviceName if name not in NOT_FILES)


def best_device() -> DeviceName:
    """The device that `auto` stands for on this machine: the first accelerator that it has, else its processor."""
    there = (device.name for device in devices() if device.accelerator and not device.presence().missing)
    return next(there, DeviceName.CPU)


def available(name: DeviceName) -> DeviceName:
    """The device asked for, `auto` resolved. Raises `AttnprofError` for one that this machine does not have."""
    if name is DeviceName.AUTO:
        return best_device()
    missing = "" if name is DeviceName.NONE else device_named(name).presence().missing
    if missing:
        raise AttnprofError(f"--device {name}: {missing}", hint="--device cpu, or --device none to count only")
    return name
