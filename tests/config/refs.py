#!/usr/bin/env python3
"""The rules of refs, stores and policies, written down a second time.

Reads the cases of a directory, each a store of configuration files with what was asked for, and prints for each what
should come of it: `error`, `denied`, `chain`, or `ref BACKEND NAME`.
"""

import json
import os
import re
import sys

import yaml

DIMENSIONS = ("environment", "machine", "substrate", "role")
OWN = ("one", "two")
BUILT_IN = ("gopass", "env", "age", "vault", "credentials", "keyring")


class Wrong(Exception):
    """The configuration has a mistake, or does not answer this question."""


def merge(under, over):
    if isinstance(under, dict) and isinstance(over, dict):
        merged = dict(under)
        for key, value in over.items():
            merged[key] = merge(merged[key], value) if key in merged else value
        return merged
    return over


def identifier(text):
    if not isinstance(text, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise Wrong(f"no identifier: {text!r}")
    return text


def trimmed(text):
    if not isinstance(text, str) or not text or text != text.strip():
        raise Wrong(f"empty, or not trimmed: {text!r}")
    return text


def name(text):
    """A name of ours: segments, and at most one field."""
    path, *fields = text.split("#")
    if len(fields) > 1 or len(text.encode()) > 512 or any(ord(c) < 32 for c in text):
        raise Wrong(f"no name: {text!r}")
    if any(segment in ("", ".", "..") for segment in path.split("/")):
        raise Wrong(f"no name: {text!r}")
    return text


def joined(root, path):
    if "#" in root:
        raise Wrong("a field in a root")
    return name(f"{root.rstrip('/')}/{path}")


def entry(value, keys):
    if not isinstance(value, dict) or set(value) != set(keys) or None in value.values():
        raise Wrong(f"expected {keys}, found {value!r}")
    return value


def checked(ours):
    """The three mappings, if nothing is wrong in them."""
    refs, stores, policies = (ours.get(key) or {} for key in ("refs", "stores", "policies"))
    for mapping in (refs, stores, policies):
        if not isinstance(mapping, dict):
            raise Wrong("no mapping")
        for key in mapping:
            identifier(key)
    for value in stores.values():
        entry(value, ("backend", "root"))
        if value["backend"] not in OWN + BUILT_IN:
            raise Wrong("unknown backend")
        joined(trimmed(value["root"]), "x")
    for value in policies.values():
        allowed = entry(value, ("allowed_principals",))["allowed_principals"]
        if not isinstance(allowed, list) or len(set(map(str, allowed))) < len(allowed):
            raise Wrong("no list, or one that names somebody twice")
        for principal in allowed:
            identifier(principal)
    for value in refs.values():
        entry(value, ("store", "path", "policy"))
        identifier(value["store"])
        if identifier(value["policy"]) not in policies:
            raise Wrong("no such policy")
        path = trimmed(value["path"])
        if path.startswith("/"):
            raise Wrong("an absolute path")
        store = stores.get(value["store"], {"root": "r"})
        joined(store["root"], path)
    return refs, stores, policies


def answer(case):
    with open(f"{case}/case.json") as file:
        asked = json.load(file)

    def read(which):
        with open(f"{case}/apps/mxm-secrets/{which}.yaml") as file:
            return yaml.safe_load(file) or {}

    merged = read("default")
    for dimension in DIMENSIONS:
        if os.path.exists(f"{case}/apps/mxm-secrets/{dimension}.yaml"):
            merged = merge(merged, read(dimension)[asked[dimension]])
    ours = merged["mxm_secrets"]
    refs, stores, policies = checked(ours)
    wanted, *field = asked["name"].split("#")
    if wanted not in refs:
        if ours.get("refs_only"):
            raise Wrong("refs_only")
        return "chain"
    ref = refs[wanted]
    if not asked["role"]:
        raise Wrong("no role")
    role = identifier(asked["role"])
    if role not in policies[ref["policy"]]["allowed_principals"]:
        return "denied"
    if ref["store"] not in stores:
        raise Wrong("this machine lacks the store")
    store = stores[ref["store"]]
    path = ref["path"]
    if field:
        if "#" in path:
            raise Wrong("two fields")
        path = f"{path}#{field[0]}"
    return f"ref {store['backend']} {joined(store['root'], path)}"


def main():
    (directory,) = sys.argv[1:]
    for case in sorted(os.listdir(directory)):
        try:
            print(case, answer(f"{directory}/{case}"))
        except Wrong:
            print(case, "error")


main()
