"""The structure within files, taken out and put back: trees of objects, lists and values."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fairseq_budget.corpus.pack_file import MAGIC, PREFIX

Finish = Callable[[bytes], bytes]
"""The last hand on the text of a tree, for what json would never write."""


@dataclass(frozen=True)
class Codec:
    """`load` takes the tree out of a file's bytes, `dump` makes them of it."""

    load: Callable[[bytes], Any]
    dump: Callable[[Any, Finish], bytes]
    is_json: bool = True


def _dump_json(tree: Any, finish: Finish) -> bytes:
    return finish(json.dumps(tree, indent=1).encode())


def _load_lines(content: bytes) -> Any:
    return [json.loads(line) for line in content.splitlines()]


def _dump_lines(tree: Any, finish: Finish) -> bytes:
    lines = tree if isinstance(tree, list) else [tree]
    return finish(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def _load_safetensors(content: bytes) -> Any:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    inner = {key: json.loads(text) for key, text in _texts(header).items()}
    return {"header": header, "inner": inner, "rest": content[8 + length :].hex()}


def _texts(header: Any) -> dict[str, str]:
    """Metadata of a header that is json itself."""
    own = header.get("__metadata__") or {}
    return {key: text for key, text in own.items() if text.startswith("{")}


def _dump_safetensors(tree: Any, finish: Finish) -> bytes:
    tree = tree if isinstance(tree, dict) else {}
    header, inner = tree.get("header"), tree.get("inner")
    if isinstance(header, dict) and isinstance(inner, dict) and header.get("__metadata__"):
        texts = {key: finish(json.dumps(value).encode()).decode() for key, value in inner.items()}
        header["__metadata__"] = texts
    text = finish(json.dumps(header).encode())
    rest = tree.get("rest")
    is_hex = isinstance(rest, str) and set(rest) <= set("0123456789abcdef") and len(rest) % 2 == 0
    return len(text).to_bytes(8, "little") + text + (bytes.fromhex(rest) if is_hex else b"")


def _load_pack(content: bytes) -> Any:
    _, offset, length, _ = PREFIX.unpack(content[: PREFIX.size])
    header = json.loads(content[offset : offset + length])
    return {"header": header, "arrays": content[PREFIX.size : offset].hex()}


def _dump_pack(tree: Any, finish: Finish) -> bytes:
    """A pack whose header is signed anew, so that nothing but its content speaks against it."""
    tree = tree if isinstance(tree, dict) else {}
    text, arrays = finish(json.dumps(tree.get("header")).encode()), tree.get("arrays")
    body = bytes.fromhex(arrays) if isinstance(arrays, str) and len(arrays) > 100 else b""
    prefix = PREFIX.pack(MAGIC, PREFIX.size + len(body), len(text), hashlib.sha256(text).digest())
    return prefix + body + text


def _load_torch(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), weights_only=True)


def _dump_torch(tree: Any, _: Finish) -> bytes:
    import torch

    content = io.BytesIO()
    torch.save(tree, content)
    return content.getvalue()


JSON = Codec(json.loads, _dump_json)
JSON_LINES = Codec(_load_lines, _dump_lines)
SAFETENSORS = Codec(_load_safetensors, _dump_safetensors)
PACK = Codec(_load_pack, _dump_pack)
TORCH = Codec(_load_torch, _dump_torch, is_json=False)


@dataclass(frozen=True)
class Shell:
    """What is around a file's content, taken off before it is changed and put on again."""

    open: Callable[[bytes], bytes]
    close: Callable[[bytes], bytes]


GZIP = Shell(gzip.decompress, lambda content: gzip.compress(content, 1, mtime=0))
DIGEST = Shell(lambda raw: raw[32:], lambda content: hashlib.sha256(content).digest() + content)
