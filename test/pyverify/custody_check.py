"""Custody logs, after docs/format/custody.md."""

import os, re

from bundle_check import frames, walk
from primitives import Broken, Findings, check, fingerprint, need, parse, sha256, spell, sshsig, text_time, trust

CONTROLS = "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
KINDS = ("ordered collected sealed interrupted recovered verified opened analysed exported exception arrived copied transferred received refused "
         "returned stored derived disclosed key-changed revoked corrected witnessed timestamped closed destroyed").split()
HEX, UTC, ZONE = "(?!0{64})[0-9a-f]{64}", r"(?!19[0-6]|1[0-8]|0)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", r"[+-]\d\d:\d\d"
PERSON = {"id": str, "name": str, "org": str, "role": str, "key": "SHA256:[A-Za-z0-9+/]{43}"}
EVENT = {"v!": int, "case!": "(?!.*\\.$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "exhibit!": r"EX-(?!000$)(\d{3}|[1-9]\d{3,8})", "event!": "|".join(KINDS), "prev!": [HEX], "seal": HEX,
         "outer_sha256": HEX, "size": (1, 2**63 - 1), "actor!": dict(PERSON, **{"id!": str, "key!": PERSON["key"]}), "to": dict(PERSON, **{"id!": str}),
         "time!": {"utc!": UTC, "tz": ZONE, "source!": "system|ntp|gps|tsa|manual", "offset_ms": int, "uncertainty_ms": (0, 2**63 - 1),
                   "mono": (1, 2**63 - 1), "boot_id": str},
         "place": str, "purpose": str, "authority": str, "medium": {"type": str, "make": str, "model": str, "serial": str, "seal_bag": str},
         "tool": {"name!": str, "ver": str, "sha256": HEX}, "check": {"before": str, "after": str, "result!": str}, "refs": [str], "note": str,
         "attach": [{"name!": str, "sha256!": HEX}]}


def shaped(value, shape, what):
    if isinstance(shape, dict):
        need(isinstance(value, dict) and value, what + " is no object")
        names = list(dict.fromkeys(k.rstrip("!") for k in shape))
        need(list(value) == [k for k in names if k in value] and set(value) <= set(names), what + ": keys unknown or in another order")
        need(all(k in value for k in names if k + "!" in shape), what + ": a required key is missing")
        for k in value:
            shaped(value[k], shape.get(k + "!", shape.get(k)), k)
    elif isinstance(shape, list):
        need(isinstance(value, list) and (value or what == "prev"), what + " is no list")
        for v in value:
            shaped(v, shape[0], what + " ")
    elif shape is int or isinstance(shape, tuple):
        low, high = (-2**63, 2**63 - 1) if shape is int else shape
        need(type(value) is int and low <= value <= high, what + " is no number that may stand there")
    else:
        need(isinstance(value, str) and value and (shape is str or re.fullmatch(shape, value, re.ASCII)), what + " is no text that may stand there")


def event(data):
    need(len(data) <= 65536 and data.endswith(b"\n"), "no event file")
    value = parse(data)
    need(isinstance(value, dict) and type(value.get("v")) is int, "no event")
    if value["v"] > 1:
        raise OverflowError("event of a newer version")
    shaped(value, EVENT, "event")
    need(value["v"] == 1 and value["prev"] == sorted(set(value["prev"])), "version, or order of prev")
    need(spell(value, CONTROLS).encode() + b"\n" == data, "other spelling")
    text_time(value["time"]["utc"])
    zone = value["time"].get("tz", "+00:00")
    need(zone != "-00:00" and int(zone[1:3]) < 24 and int(zone[4:]) < 60, "zone")
    return value


def custody(case, exhibit, entries, now, heads, file):
    found, folder = Findings(), os.path.join(case, "custody", exhibit)
    about = parse(open(os.path.join(case, "case.json"), "rb").read())
    names = sorted(n for n in os.listdir(folder) if not n.startswith("."))
    files = {n: open(os.path.join(folder, n), "rb").read() for n in names}
    events, all_hashes = {}, {sha256(files[n]).hex() for n in names if n.endswith(".json")}
    for n in names:
        base = re.match(r".*?\.json", n)
        if not n.endswith(".json"):
            if not n.endswith("-cert.pub") and not (base and base[0] in files and re.fullmatch(r"\.sig|\.tsr|\.[^/]+\.countersig", n[base.end():])):
                orphan = n.endswith(".json.sig")
                found.add("DAMAGED" if orphan else "NOTE", n + (": its event is missing" if orphan else " is no file of the format"))
            continue
        try:
            e = event(files[n])
            e["hash"] = sha256(files[n]).hex()
            events[e["hash"]], e["file"] = e, n
            need(e["case"] == about["id"] and e["exhibit"] == exhibit, n + " belongs to another case or exhibit")
        except Broken as why:
            found.add("ALTERED", "%s: %s" % (n, why))
        except OverflowError as why:
            signed = check(found, sshsig, files.get(n + ".sig", b""), files[n], "exhibit-custody")  # else it was changed
            found.add("NEWER" if signed else "ALTERED", "%s: %s" % (n, why))
    if not events and found.verdict() != "NEWER":
        found.add("UNREADABLE", "no events")
    number = lambda e: 1 + max([int(re.match(r"\d+|", events[p]["file"])[0] or 0) if p in events else 0 for p in e["prev"]], default=0)
    for e in events.values():
        n = e["file"]
        if all(p in events for p in e["prev"]) and n != "%04d-%s-%s.json" % (number(e), e["event"], e["hash"][:12]):
            found.add("ALTERED", n + " is not its name")
        for p in e["prev"]:
            if p not in all_hashes:
                found.add("DAMAGED", "%s: its predecessor %s is missing" % (n, p[:12]))
        if n + ".sig" not in files:
            found.add("DAMAGED", n + " has no signature")
            continue
        key = check(found, sshsig, files[n + ".sig"], files[n], "exhibit-custody")
        if key and fingerprint(key) != e["actor"]["key"]:
            found.add("ALTERED", n + " was signed by another key")
        elif key:
            seconds, nanos = text_time(e["time"]["utc"])
            found.add(trust(entries, key, e["actor"]["id"], ["exhibit-custody"], seconds, now), n)
    if sum(not e["prev"] for e in events.values()) > 1:
        found.add("ALTERED", "a second beginning")
    for h in heads:
        if h not in events:
            found.add("DAMAGED", "head %s is not in the log" % h)
    if file:
        data, named = open(file, "rb").read(), [e for e in events.values() if "seal" in e]
        members = walk(*frames(data, Findings())[:2], True, Findings())
        seal = members["exhibit/seal.txt"].data if "exhibit/seal.txt" in members else b""
        if not named:
            found.add("DAMAGED", "no event names a seal")
        for e in named:
            if e["seal"] != sha256(seal).hex() or e.get("outer_sha256", sha256(data).hex()) != sha256(data).hex() or e.get("size", len(data)) != len(data):
                found.add("ALTERED", e["file"] + " names another bundle")
    return found
