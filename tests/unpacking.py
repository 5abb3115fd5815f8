"""The unpacking of the page's script (`interp/html/assets/arrays.js`), written again in Python."""

import base64
import gzip
import json
import re
from typing import Any

import numpy as np


def decoded(array: dict[str, Any], codes: np.ndarray) -> np.ndarray:
    """Numbers or words of the codes of an array, by its entry in the payload."""
    if "words" in array:
        return np.array([array["words"][code] for code in codes.ravel()]).reshape(codes.shape)
    if "lo" not in array:
        return codes
    top = {1: 254, 2: 65534}[codes.dtype.itemsize]
    values = array["lo"] + (array["hi"] - array["lo"]) * codes.astype(float) / top
    return np.where(codes > top, np.nan, values)


def about(payload: str) -> dict[str, Any]:
    """The JSON of a payload: its content and the entries of its arrays."""
    whole = gzip.decompress(base64.b64decode(payload))
    return json.loads(whole[4 : 4 + int.from_bytes(whole[:4], "little")])


def unpacked(payload: str) -> tuple[Any, list[np.ndarray]]:
    """The content of a payload, and the values of its arrays."""
    whole = gzip.decompress(base64.b64decode(payload))
    length, told = int.from_bytes(whole[:4], "little"), about(payload)
    arrays = []
    for array in told["arrays"]:
        n = int(np.prod(array["shape"]))
        codes = np.frombuffer(whole, "<" + array["dtype"], n, 4 + length + array["at"]).reshape(array["shape"])
        arrays.append(decoded(array, codes))
    return told["content"], arrays


def payloads(html: str) -> dict[str, tuple[Any, list[np.ndarray]]]:
    """What ``unpacked`` makes of each section of a page that has a payload, by the section's id."""
    found = re.findall(r'<script type="text/plain" class="payload" data-section="([^"]*)">(.*?)</script>', html)
    return {section: unpacked(payload) for section, payload in found}


def revived(tree: Any, arrays: list[np.ndarray]) -> Any:
    """Content with arrays in the place of their numbers."""
    if isinstance(tree, list):
        return [revived(item, arrays) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return arrays[tree["array"]] if "array" in tree else {key: revived(value, arrays) for key, value in tree.items()}
