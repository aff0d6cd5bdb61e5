"""Custody logs, after docs/format/custody.md."""

import os, re

from bundle_check import frames, read, walk
from primitives import Broken, Findings, fingerprint, need, parse, sha256, sshsig, text_time, trust

# ---- section 2: the one spelling of an event, as one regular expression -------------------------------------------

KINDS = """ordered|collected|sealed|interrupted|recovered|verified|opened|analysed|exported|exception|arrived|copied|
transferred|received|refused|returned|stored|derived|disclosed|key-changed|revoked|corrected|witnessed|timestamped|
closed|destroyed|noted""".replace("\n", "")
TEXT = (r'"(?:[^"\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\\["\\nt]|\\u(?:'
        r'00(?:0[0-8bcdef]|1[0-9a-f]|7f|[89][0-9a-f])|061c|200[ef]|202[89a-e]|206[6-9]|feff))+"')
HASH = '"(?!0{64})[0-9a-f]{64}"'
KEY = '"SHA256:[A-Za-z0-9+/]{43}"'


def words(pattern):
    return '"(?:%s)"' % pattern


def many(item):
    return r"\[%s(?:,%s)*\]" % (item, item)


def shape(required, **fields):
    """An object of these fields in this order; where nothing is required, with at least one of them."""
    return r"\{(?!\})" + "".join('(?:,?"%s":%s)%s' % (k, v, "" if k in required.split() else "?")
                                 for k, v in fields.items()) + r"\}"


def person(required):
    return shape(required, id=TEXT, name=TEXT, org=TEXT, role=TEXT, key=KEY)


TIME = shape("utc source", utc=words(r"(?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"),
             tz=words(r"(?!-00:00)[+-](?:[01]\d|2[0-3]):[0-5]\d"), source=words("system|ntp|gps|tsa|manual"),
             offset_ms=r"(?:0|-?[1-9]\d*)", uncertainty_ms=r"(?:0|[1-9]\d*)", mono=r"[1-9]\d*", boot_id=TEXT)
CASE = words(r"(?![^\"]*\.\")[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
EXHIBIT = words(r"EX-(?!000\")(?:\d{3}|[1-9]\d{3,8})")
EVENT = shape("v case exhibit event prev actor time", v="1", case=CASE, exhibit=EXHIBIT, event=words(KINDS),
              prev=r"(?:\[\]|%s)" % many(HASH),
              seal=HASH, outer_sha256=HASH, size=r"[1-9]\d*", actor=person("id key"), to=person("id"), time=TIME,
              place=TEXT, purpose=TEXT, authority=TEXT,
              medium=shape("", type=TEXT, make=TEXT, model=TEXT, serial=TEXT, seal_bag=TEXT),
              tool=shape("name", name=TEXT, ver=TEXT, sha256=HASH),
              check=shape("result", before=TEXT, after=TEXT, result=TEXT), refs=many(TEXT), note=TEXT,
              attach=many(shape("name sha256", name=TEXT, sha256=HASH)))


class Newer(Exception):
    """An event of a later version."""


def event(data):
    need(len(data) <= 65536, "an event file of more than 64 KiB")
    value = parse(data)
    need(isinstance(value, dict) and type(value.get("v")) is int, "no event")
    if value["v"] > 1:
        raise Newer("event of a newer version")
    need(re.fullmatch(EVENT + r"\n", data.decode(), re.ASCII), "unknown, missing or misspelled")
    need(value["prev"] == sorted(set(value["prev"])), "order of prev")
    numbers = [value.get("size", 0)] + [n for n in value["time"].values() if isinstance(n, int)]
    need(all(-2**63 <= n < 2**63 for n in numbers), "number of more than 64 bits")
    text_time(value["time"]["utc"])
    return value


# ---- section 5 ----------------------------------------------------------------------------------------------------

def log(found, files, about, exhibit):
    """The events that can be read, by their hash."""
    events = {}
    for n, data in files.items():
        base = re.match(r".*?\.json", n)
        if not n.endswith(".json"):
            companion = base and re.fullmatch(r"\.sig|(\.[0-9a-f]{12})?\.tsr|\.[^/]+\.countersig", n[base.end():])
            if not n.endswith("-cert.pub") and not (companion and base[0] in files):
                found.add("DAMAGED" if n.endswith(".json.sig") else "NOTE", n + " belongs to no event that is here")
            continue
        try:
            e = found.check(event, data)
        except Newer as why:  # where the signature does not hold, it was changed
            signed = found.check(sshsig, files.get(n + ".sig", b""), data, "exhibit-custody")
            found.add("NEWER" if signed else "ALTERED", "%s: %s" % (n, why))
            continue
        if e:
            events[sha256(data).hex()] = dict(e, file=n)
            if e["case"] != about["id"] or e["exhibit"] != exhibit:
                found.add("ALTERED", n + " belongs to another case or exhibit")
    return events


def number(e, events):
    return 1 + max([int(re.match("[0-9]*", events[p]["file"])[0] or 0) for p in e["prev"]], default=0)


def signed(found, e, files, entries, now):
    n = e["file"]
    if n + ".sig" not in files:
        found.add("DAMAGED", n + " has no signature")
        return
    key = found.check(sshsig, files[n + ".sig"], files[n], "exhibit-custody")
    if key and fingerprint(key) != e["actor"]["key"]:
        found.add("ALTERED", n + " was signed by another key")
    elif key:
        stated = text_time(e["time"]["utc"])[0]
        found.add(trust(entries, key, e["actor"]["id"], ["exhibit-custody"], stated, now), n)


def custody(case, exhibit, entries, now, heads, file):
    found, folder = Findings(), os.path.join(case, "custody", exhibit)
    about = parse(read(os.path.join(case, "case.json")))
    files = {n: read(os.path.join(folder, n)) for n in sorted(os.listdir(folder)) if not n.startswith(".")}
    there = {sha256(data).hex() for n, data in files.items() if n.endswith(".json")}
    events = log(found, files, about, exhibit)
    if not events and found.verdict() != "NEWER":
        found.add("UNREADABLE", "no events")
    for h, e in events.items():
        known = all(p in events for p in e["prev"])
        if known and e["file"] != "%04d-%s-%s.json" % (number(e, events), e["event"], h[:12]):
            found.add("ALTERED", e["file"] + " is not its name")
        for p in set(e["prev"]) - there:
            found.add("DAMAGED", "%s: its predecessor %s is missing" % (e["file"], p[:12]))
        signed(found, e, files, entries, now)
    if sum(not e["prev"] for e in events.values()) > 1:
        found.add("ALTERED", "a second beginning")
    for h in set(heads) - set(events):
        found.add("DAMAGED", "head %s is not in the log" % h)
    if file:
        data, named = read(file), [e for e in events.values() if "seal" in e]
        members = walk(*frames(data, Findings())[:2], True, Findings())
        seal = members["exhibit/seal.txt"].data if "exhibit/seal.txt" in members else b""
        want = sha256(seal).hex(), sha256(data).hex(), len(data)
        if not named:
            found.add("DAMAGED", "no event names a seal")
        for e in named:
            if (e["seal"], e.get("outer_sha256", want[1]), e.get("size", want[2])) != want:
                found.add("ALTERED", e["file"] + " names another bundle")
    return found
