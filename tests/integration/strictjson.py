"""JSON, read as strictly as the standard asks for."""

import json


class NotJSON(ValueError):
    """The text is not JSON, or is of a kind that readers disagree on."""


def loads(data):
    """The document in the bytes DATA. Refuses bytes that are not UTF-8, a key twice in one
    object, and NaN and the infinities."""
    try:
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except ValueError as error:
        raise NotJSON(str(error)) from error


def _object(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        raise NotJSON(f"keys twice: {sorted({key for key in keys if keys.count(key) > 1})}")
    return result


def _constant(name):
    raise NotJSON(f"{name} is no JSON number")
