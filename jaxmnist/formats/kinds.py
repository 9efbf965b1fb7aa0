"""What a file is that people give in the place of weights or images, by how it begins."""

import zipfile
import zlib
from pathlib import Path
from typing import IO

HEAD = 1 << 12  # bytes that are looked at
TORCH, SAFETENSORS = "a file that torch.save wrote", "a safetensors file"
NPY, IDX_IMAGES = "an array of NumPy (.npy)", "an idx file of images"
PICKLE, MATLAB = "a pickle (a program, which is never run)", "a MATLAB file"
SHARDS = "the list of a model's several safetensors files"
SHOWN = 4  # members of an archive that are named
# Where they begin, and how; the first that fits.
MAGICS = (
    (
        0,
        b"version https://git-lfs",
        "a pointer of Git LFS (`git lfs pull` fetches the file itself)",
    ),
    (0, b"<!DOCTYPE html", "a web page, saved in the file's place"),
    (0, b"<!doctype html", "a web page, saved in the file's place"),
    (0, b"<html", "a web page, saved in the file's place"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras's .h5"),
    (0, b"\x93NUMPY", NPY),
    (0, b"\0\0\x08\x03", IDX_IMAGES),
    (0, b"\0\0\x08\x01", "an idx file of labels"),
    (0, b"MATLAB 5.0", MATLAB),
    (0, b"MATLAB 7.3", "an HDF5 file of MATLAB 7.3 (save it again with `-v7`)"),
    (0, b"PAR1", "a Parquet table"),
    (0, b"ARROW1", "an Arrow table"),
    (0, b"model_checkpoint_path:", "a note of TensorFlow on its checkpoints"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"GGUF", "a GGUF model"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BZh", "compressed by bzip2 (unpack it)"),
    (0, b"\xfd7zXZ\0", "compressed by xz (unpack it)"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd (unpack it)"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (unpack it)"),
    (0, b"Rar!\x1a", "a RAR archive (unpack it)"),
    (257, b"ustar", "a tar archive, as the first versions of PyTorch wrote, too"),
)
OLD_PYTORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of a number
TENSORFLOW_INDEX = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # the end of a table


def kind_of(path: Path) -> str:
    """Says what a file is, with an article; nothing if that is not known, or it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            if zipfile.is_zipfile(file) and head[8:9] != b"{":
                return _kind_of_archive(file)
            file.seek(max(0, path.stat().st_size - len(TENSORFLOW_INDEX)))
            end = file.read()
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError):
        return ""
    if ".data-0" in path.name or path.name == "saved_model.pb" or end == TENSORFLOW_INDEX:
        return "part of a TensorFlow model"
    if head[:2] == b"\x1f\x8b":
        return _kind_of_gzip(head)
    return _kind(head) or ("an ONNX model" if path.suffix == ".onnx" else "")


def _kind(head: bytes) -> str:
    for start, magic, kind in MAGICS:
        if head[start:].startswith(magic):
            return kind
    if head.startswith(OLD_PYTORCH):
        return TORCH
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 2:
        return PICKLE.replace("a", "joblib's", 1) if b"joblib" in head else PICKLE
    # A version, then the name of the software: both tagged as protocol buffers have it.
    if head[:1] == b"\x08" and head[2:3] == b"\x12" and head[4 : 4 + head[3]].isascii():
        return "an ONNX model"
    if head[:4] == b"PK\3\4":
        return "a zip archive that is cut short"
    if head.lstrip()[:1] == b"{" and b'"weight_map"' in head:
        return SHARDS
    if head[8:9] == b"{" and not any(head[4:8]):
        return SAFETENSORS
    return ""


def _kind_of_gzip(head: bytes) -> str:
    try:
        inner = zlib.decompressobj(wbits=31).decompress(head, HEAD)
    except zlib.error:
        inner = b""
    kind = "a zip archive" if inner[:2] == b"PK" else _kind(inner)
    return f"gzipped{kind and f', and inside is {kind}'} (unpack it)"


def _kind_of_archive(file: IO[bytes]) -> str:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    some = f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
    if any(name.endswith(".weights.h5") for name in names):
        return "a .keras model"
    if any(name.endswith("/data.pkl") for name in names):
        return TORCH
    if any(name.endswith(".npy") for name in names):
        return f"an npz file of {some}"
    return f"a zip archive of {some or 'nothing'}"
