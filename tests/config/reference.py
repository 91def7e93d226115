"""Says what the real readers make of the stores in a directory, and compares it with what mxm-secrets made of them.

    python reference.py DIRECTORY

Each case is a directory with case.json (the variables), a store, and ours.json (the status and the JSON lines of
`mxm-secrets config --json`). OmegaConf and PyYAML read, merge and resolve here, in the order that mxm-config documents;
what a key may be is said again, since no Python package knows it. Prints one line for each case that differs, and at
the end how many there were, and how many of them were errors for both.
"""

import json
import os
import re
import sys
import warnings

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._utils import get_yaml_loader

DIMENSIONS = ["environment", "machine", "substrate", "role"]
BOOLEANS = {
    **dict.fromkeys(["yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
}
BUILT_IN = ["gopass", "env"]
BACKEND = {"required": "bool"}
SECTIONS = {
    "gopass": {"command": "text", "prefix": "text", **BACKEND},
    "env": {"prefix": "text", **BACKEND},
}
OWN = {"command": "texts", "miss": "statuses", "unavailable": "statuses", "names": ["plain", "any"], **BACKEND}


class Refused(Exception):
    pass


def load(path):
    config = OmegaConf.load(path)
    if not isinstance(config, DictConfig):
        raise Refused(f"{path} is no mapping")
    return config


def merged(root, identity):
    layers = [load(f"{root}/default.yaml")]
    for dimension in DIMENSIONS:
        path = f"{root}/{dimension}.yaml"
        if not os.path.exists(path):
            continue
        layer = load(path)
        selector = identity[dimension]
        if selector not in layer:
            raise Refused(f"{selector} is not in {path}")
        block = layer[selector]
        if not isinstance(block, DictConfig):
            raise Refused(f"{selector} in {path} is no mapping")
        layers.append(block)
    return OmegaConf.merge(*layers)


def section(config):
    """Our section alone: what others may have wrong in theirs is none of our business."""
    if "mxm_secrets" not in config:
        return {}
    ours = config.mxm_secrets
    if ours is None:
        return {}
    if not isinstance(ours, DictConfig):
        raise Refused("our section is no mapping")
    OmegaConf.resolve(ours)
    return OmegaConf.to_container(ours)


def scalar(value):
    if isinstance(value, (dict, list)):
        raise Refused(f"{value!r} is no scalar")
    if value == "???":
        raise Refused("missing")
    return value


def items(value):
    values = value if isinstance(value, list) else [value]
    if any(scalar(item) is None for item in values):
        raise Refused("an item is nothing")
    return values


def typed(value, kind):
    """What is expected for a key of this kind; texts are compared in `same`."""
    if kind in ("texts", "statuses"):
        if isinstance(value, dict):
            raise Refused("a mapping")
        values = items(value)
        if kind == "texts":
            return values
        numbers = [int(item) if isinstance(item, str) and item.isascii() and item.isdigit() else item for item in values]
        if any(type(item) is not int or not 1 <= item <= 255 for item in numbers):
            raise Refused("no statuses")
        return numbers
    value = scalar(value)
    if kind == "text":
        return value
    if kind == "bool":
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in BOOLEANS:
            return BOOLEANS[value]
        raise Refused("no boolean")
    if kind == "seconds":
        if isinstance(value, bool):
            raise Refused("no number")
        if isinstance(value, str):
            if not value or any(c not in "0123456789." for c in value):
                raise Refused("no number")
            try:
                value = float(value)
            except ValueError:
                raise Refused("no number") from None
        if not 0.001 <= value <= 86400:
            raise Refused("out of range")
        return value
    if value not in kind:
        raise Refused("none of the words")
    return value


def expected(ours):
    """The keys that are given, with the values they should have."""
    values = {}
    own = []
    for name, value in ours.items():
        if name == "backends":
            if value is not None:
                values[name] = typed(value, "texts")
        elif name == "on_error":
            if value is not None:
                values[name] = typed(value, ["stop", "continue"])
        elif name == "timeout":
            if value is not None:
                values[name] = typed(value, "seconds")
        elif name == "stores":
            for store, inner in value.items():
                for key, text in inner.items():
                    values[f"stores.{store}.{key}"] = text
        else:
            keys = SECTIONS.get(name, OWN)
            if keys is OWN:
                if not isinstance(value, dict) or "command" not in value:
                    raise Refused(f"{name} is no backend")
                own.append(name)
            if value is None:
                continue
            if not isinstance(value, dict):
                raise Refused(f"{name} is no mapping")
            for key, inner in value.items():
                if key not in keys:
                    raise Refused(f"{name} has no {key}")
                if inner is not None:
                    values[f"{name}.{key}"] = typed(inner, keys[key])
            command = values.get(f"{name}.command")
            if keys is OWN and command is not None:
                if len(command) == 0 or not any("{name}" in str(word) for word in command[1:]):
                    raise Refused(f"{name} needs its argument")
    chain = values.get("backends")
    if chain is not None:
        if not chain or len(set(map(str, chain))) < len(chain):
            raise Refused("the chain is empty, or has a name twice")
        for name in chain:
            if name not in BUILT_IN + own:
                raise Refused(f"no backend is called {name}")
    return values


def same(ours, theirs):
    """A text that Python takes for a number or a boolean is compared by what it makes of ours."""
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, str) and not isinstance(theirs, str):
        return yaml.load(ours, Loader=get_yaml_loader()) == theirs
    return ours == theirs


def shown(ours, theirs):
    """A command is compared where it is not masked."""
    if not isinstance(ours, list) or len(ours) != len(theirs):
        return False
    pattern = (re.escape(str(word)).replace(re.escape("***"), ".+") for word in ours)
    masked = ["***" in str(word) for word in ours]
    return not masked[0] and all(
        re.fullmatch(part, str(word), re.DOTALL) if hidden else same(our, word)
        for part, hidden, our, word in zip(pattern, masked, ours, theirs)
    )


def flat(ours):
    """The values of the section by their keys, whatever they are."""
    if not isinstance(ours, dict):
        return {"": ours}
    return {
        f"{name}.{key}" if key else name: value
        for name, inner in ours.items()
        for key, value in flat(inner).items()
    }


def from_variables(case, identity, ours):
    """The keys whose values change with the variables; None: it cannot be told."""
    others = {"ex": "exq", "10": "11", "": "q", "yes": "no"}
    for variable, value in identity["variables"].items():
        os.environ[variable] = others[value]
    try:
        others = flat(section(merged(f"{case}/apps/mxm-secrets", identity)))
    except Exception:
        return None
    finally:
        os.environ.update(identity["variables"])
    return {key for key, value in flat(ours).items() if others.get(key) != value}


def is_written(ours, theirs):
    """Whether what is shown has an interpolation in place of every text that it lacks."""
    if isinstance(ours, list):
        theirs = theirs if isinstance(theirs, list) else [theirs]
        return len(ours) == len(theirs) and all(map(is_written, ours, theirs)) and any("${" in str(it) for it in ours)
    return "${" in str(ours) or "***" in str(ours) or same(ours, theirs)


def differs(case):
    with open(f"{case}/case.json") as file:
        identity = json.load(file)
    with open(f"{case}/ours.json") as file:
        ours = json.load(file)
    for variable in ("X", "Y", "Z"):
        os.environ.pop(variable, None)
    os.environ.update(identity["variables"])
    try:
        ours_there = section(merged(f"{case}/apps/mxm-secrets", identity))
        theirs = expected(ours_there)
    except Exception as error:
        if ours["status"] == 2:
            return None, True
        return f"Python refuses it ({type(error).__name__}: {error}), we do not", True
    if ours["status"] != 0:
        return f"we refuse it ({ours['error']}), Python does not: {theirs}", False
    given = {line["key"]: line["value"] for line in ours["settings"] if line["source"] == "file"}
    if given.keys() != theirs.keys():
        return f"keys: ours {given}, theirs {theirs}", False
    variable = from_variables(case, identity, ours_there)
    for key, value in theirs.items():
        compare = shown if key.endswith("own.command") else same
        if variable is not None and key in variable:
            compare = is_written
            if key == "env.prefix":
                # $PREFIXA
                locator = ours["resolved"]["chain"][0]["locator"]
                if not same(locator[1:-1], value):
                    return f"{key}: ours leads to {locator!r}, theirs {value!r}", False
        elif variable is None and "${" in str(given[key]):
            continue
        if not compare(given[key], value):
            return f"{key}: ours {given[key]!r}, theirs {value!r}", False
    return None, False


def main():
    warnings.simplefilter("ignore")
    (directory,) = sys.argv[1:]
    cases = errors = 0
    for case in sorted(os.listdir(directory)):
        difference, error = differs(f"{directory}/{case}")
        cases += 1
        errors += error
        if difference is not None:
            print(f"{case}: {difference}")
    print(f"{cases} cases, {errors} of them errors")


main()
