"""Colour profiles, written byte by byte as ICC.1:2010 lays them out."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

Primaries = tuple[tuple[float, float], ...]  # x and y of red, green and blue

SRGB: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE_RGB: Primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3: Primaries = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
PROPHOTO: Primaries = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))

D50 = (0.9642, 1.0, 0.8249)
_D65 = (0.3127, 0.3290)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def gamma(exponent: float) -> bytes:
    """A curve of one exponent."""
    return b"curv" + struct.pack(">IIH", 0, 1, round(exponent * 256)) + bytes(2)


def curve_of_srgb(n_entries: int = 0) -> bytes:
    """The curve of sRGB: as a formula, or as a table, as the profiles of many programs."""
    if not n_entries:
        numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
        return b"para" + struct.pack(">IHH", 0, 3, 0) + b"".join(map(_fixed, numbers))
    x = np.linspace(0, 1, n_entries)
    y = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    table = np.rint(y * 65535).astype(">u2").tobytes()
    return b"curv" + struct.pack(">II", 0, n_entries) + table


def rgb_profile(name: str, primaries: Primaries, curve: bytes) -> bytes:
    """A profile of three primaries and a white of D65."""
    columns = np.array([_xyz(*xy) for xy in primaries]).T
    to_xyz = columns * np.linalg.solve(columns, _xyz(*_D65))
    cones = (_BRADFORD @ D50) / (_BRADFORD @ _xyz(*_D65))
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ to_xyz
    tags = {b"desc": _text(name), b"wtpt": _xyz_tag(D50)}
    for letter, column in zip("rgb", adapted.T, strict=True):
        tags[f"{letter}XYZ".encode()] = _xyz_tag(column)
        tags[f"{letter}TRC".encode()] = curve
    return profile_of(b"mntr", b"RGB ", tags)


def grey_profile(name: str, curve: bytes) -> bytes:
    """A profile of greys."""
    tags = {b"desc": _text(name), b"wtpt": _xyz_tag(D50), b"kTRC": curve}
    return profile_of(b"mntr", b"GRAY", tags)


def cmyk_profile(name: str, dirt: float = 0.0) -> bytes:
    """A printer whose inks cover one another as light filters do; `dirt` greys its colours."""
    steps = np.linspace(0, 1, 5)
    ink = np.stack(np.meshgrid(*[steps] * 4, indexing="ij"), axis=-1)
    rgb = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    lightness = rgb @ [0.25, 0.65, 0.10]
    a = 90 * (1 - dirt) * (rgb[..., 0] - rgb[..., 1])
    b = 70 * (1 - dirt) * (rgb @ [0.5, 0.5, -1.0])
    lab = np.stack([255 * lightness ** (1 / 2.2), a + 128, b + 128], axis=-1)
    table = np.rint(lab.clip(0, 255)).astype(np.uint8).tobytes()
    identity = b"".join(map(_fixed, np.eye(3).ravel()))
    ramp = bytes(range(256))
    lut = b"mft1" + struct.pack(">IBBBx", 0, 4, 3, len(steps)) + identity
    lut += 4 * ramp + table + 3 * ramp
    return profile_of(b"prtr", b"CMYK", {b"desc": _text(name), b"A2B0": lut}, pcs=b"Lab ")


def profile_of_chains(name: str, n_links: int) -> bytes:
    """An RGB profile with a chain of calculations, each of which is the same few bytes."""
    link = b"matf" + struct.pack(">IHH", 0, 3, 3)
    link += np.append(np.eye(3).ravel(), [0, 0, 0]).astype(">f4").tobytes()
    start = 16 + 8 * n_links
    chain = b"mpet" + struct.pack(">IHHI", 0, 3, 3, n_links)
    chain += struct.pack(">II", start, len(link)) * n_links + link
    return profile_of(b"mntr", b"RGB ", {b"desc": _text(name), b"D2B1": chain})


def profile_of(
    device: bytes, space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ "
) -> bytes:
    """Put tags behind a header and a table of them."""
    table, body = struct.pack(">I", len(tags)), b""
    start = 132 + 12 * len(tags)
    for signature, content in tags.items():
        table += signature + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4xI", start + len(body), 0x04300000) + device + space + pcs
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(map(_fixed, D50))
    return header.ljust(128, b"\0") + table + body


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _xyz_tag(values: Sequence[float] | np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(map(_fixed, values))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(encoded), 28) + encoded


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))
