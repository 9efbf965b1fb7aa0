"""Damage to files: to their bytes, inside an archive, behind a checksum."""

import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Chance = random.Random
Mutate = Callable[[bytes, Chance], bytes]
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
# Numbers at the ends of their types, which headers are fond of.
EDGES = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
ODD: list[Any] = [
    *(None, True, -1, 0, 10**400, 0.5, float("nan"), float("inf"), "", "x", "\0", "9" * 50, [], {}),
    *([None], [[]], {"": None}, {"data": []}),
]


# ---- Damage to bytes. ----


def flip(content: bytes, chance: Chance) -> bytes:
    """Flips a few bits."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 8]) if content else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def truncate(content: bytes, chance: Chance) -> bytes:
    """Cuts the end off."""
    return content[: chance.randint(0, len(content))]


def insert(content: bytes, chance: Chance) -> bytes:
    """Inserts random bytes."""
    at = chance.randint(0, len(content))
    return content[:at] + chance.randbytes(chance.choice([1, 4, 100])) + content[at:]


def duplicate(content: bytes, chance: Chance) -> bytes:
    """Repeats a part."""
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:end] + content[start:]


def cut_out(content: bytes, chance: Chance) -> bytes:
    """Cuts a part out."""
    start, end = sorted(chance.randint(0, len(content)) for _ in range(2))
    return content[:start] + content[end:]


def edit_header(content: bytes, chance: Chance) -> bytes:
    """Overwrites a number near the beginning or the end, where headers and directories are."""
    size, order = chance.choice([1, 2, 4, 8]), chance.choice(["<", ">"])
    packed = struct.pack(order + "Q", chance.choice(EDGES))
    number = packed[:size] if order == "<" else packed[-size:]
    near = chance.randrange(min(len(content), 300) + 1)
    at = near if chance.random() < 0.5 else len(content) - near
    return content[:at] + number + content[at + size :]


MUTATIONS: tuple[Mutate, ...] = (flip, truncate, insert, duplicate, cut_out, edit_header)


def mutate(content: bytes, chance: Chance) -> bytes:
    """Damages bytes once, or a few times."""
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        content = chance.choice(MUTATIONS)(content, chance)
    return content


# ---- Damage inside an archive, or behind a checksum. ----


def in_gzip(content: bytes, chance: Chance) -> bytes:
    """Damages what a gzip file unpacks to."""
    return gzip.compress(mutate(gzip.decompress(content), chance), 1)


def in_zip(content: bytes, chance: Chance) -> bytes:
    """Damages a member of a zip archive, and compresses it in any way."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    important = [name for name in members if name.endswith((".npy", ".pkl"))]
    chosen = chance.choice(important if chance.random() < 0.7 else list(members))
    members[chosen] = mutate(members[chosen], chance)
    packed = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
    method = zipfile.ZIP_STORED if chance.random() < 0.5 else chance.choice(packing)
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, member in members.items():
            archive.writestr(zipfile.ZipInfo(name), member, method)
    return packed.getvalue()


def in_safetensors(content: bytes, chance: Chance) -> bytes:
    """Damages the header of a safetensors file, and corrects its length."""
    end = 8 + int.from_bytes(content[:8], "little")
    how = in_json if chance.random() < 0.5 else mutate
    header = how(content[8:end], chance)
    return struct.pack("<Q", len(header)) + header + content[end:]


def in_png(content: bytes, chance: Chance) -> bytes:
    """Damages a chunk of a PNG file, its pixels also as they are unpacked, and corrects its sum."""
    if not content.startswith(PNG):
        return mutate(content, chance)
    chunks, at = [], len(PNG)
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    chosen = chance.randrange(len(chunks))
    kind, body = chunks[chosen]
    unpacked = kind == b"IDAT" and chance.random() < 0.5
    body = (
        zlib.compress(mutate(zlib.decompress(body), chance)) if unpacked else mutate(body, chance)
    )
    chunks[chosen] = kind, body
    packed = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return PNG + b"".join(packed)


def in_json(content: bytes, chance: Chance) -> bytes:
    """Replaces a value somewhere in the tree by something odd, or removes it."""
    tree = json.loads(content)
    for _ in range(chance.choice([1, 1, 2, 5])):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.8:
                node = node[key]
                continue
            if chance.random() < 0.3:
                del node[key]
            else:
                node[key] = chance.choice(ODD)
            break
    return json.dumps(tree).encode()
