#!/usr/bin/env python3
"""A second, independent verifier of what Exhibit gives out of a bundle and of what is left of one from which items were
erased, written from docs/format/disclosure.md alone, on top of exhibit_verify.py, which knows bundles and custody logs.
    exhibit_disclosure.py {package FILE | bundle FILE} [--signers FILE] [--now UTC]
It prints what is proven of each record, or erased and by whom; then why, and last the verdict. The exit code is that of
the tables. It stops at the first thing that decides against what it reads."""
import base64, getopt, os, pathlib, re, struct, sys, time
import exhibit_verify as v
from exhibit_verify import Broken, b64, headers, hexlines, need, parse, sha256, string
NAMESPACES = ["exhibit-custody", "exhibit-seal"]
# ---- JSON in its one spelling: section 2 ---------------------------------------------------------------------------
def spelled(value):
    """The one spelling of a JSON value; TypeError for what no statement holds."""
    if isinstance(value, dict):
        return "{%s}" % ",".join(spelled(key) + ":" + spelled(one) for key, one in value.items())
    if isinstance(value, list):
        return "[%s]" % ",".join(map(spelled, value))
    if isinstance(value, str):
        escaped = re.sub(r'(["\\])', r"\\\1", value)
        return '"%s"' % re.sub(r"[\x00-\x1f\x7f]", lambda m: "\\u%04x" % ord(m[0]), escaped)
    return "%d" % value
def keys(value, names):
    """Value must be an object with these keys in this order; those behind a question mark may be missing."""
    want = [name.lstrip("?") for name in names.split() if name[0] != "?" or name[1:] in value]
    need(list(value) == want, "keys %s, not %s" % (list(value), names))
def line_of_json(data, names, bound):
    value = parse(data)
    need(spelled(value).encode() + b"\n" == data and len(data) <= bound, "a statement in another spelling, or too long")
    keys(value, names)
    need(value["v"] == 1, "a statement of another version")
    return value
def texts(value, names, bound):
    for name in names:
        need(isinstance(value[name], str) and 0 < len(value[name].encode()) <= bound, "%s is empty or too long" % name)
def digest(text):
    need(re.fullmatch("[0-9a-f]{64}", text), "no digest: %a" % text)
    return bytes.fromhex(text)
def ascending(numbers, below):
    need(all(type(n) is int for n in numbers), "leaves that are no numbers")
    need(numbers == sorted(set(numbers)) and all(0 <= n < below for n in numbers), "leaves twice, or out of order")
def body(text):
    """Origin, number of leaves and root of a checkpoint's body, which is what seal.txt holds."""
    m = re.fullmatch(rb"(exhibit\.bundle\.v1/[0-9a-f-]{36})\n([1-9]\d{0,9})\n([A-Za-z0-9+/]{43}=)\n", text)
    need(m, "no body of a checkpoint")
    return m[1].decode(), int(m[2]), b64(m[3])
# ---- Packages: sections 1 to 8 -------------------------------------------------------------------------------------
def ends_early(tar):
    """Whether the file stops before both blocks that end a tar. A header with a wrong sum is not followed."""
    at = 0
    while any(tar[at:at + 512]):
        block = tar[at:at + 512]
        if len(block) == 512:
            size = block[124:135]
            total = sum(block[:148]) + 256 + sum(block[156:])
            need(block[148:156] == b"%06o\0 " % total and re.fullmatch(b"[0-7]{11}", size), "header at %d" % at)
            at += int(size, 8) + -int(size, 8) % 512
        at += 512
    return len(tar) < at + 1024
def unpacked(member):
    """The bytes of the file that tar makes of a member, its holes as zeros."""
    data, at = bytearray(), 0
    need(member.size - len(member.data) <= 64 << 30, "too many holes")
    for off, n in member.ranges:
        data += bytes(off - len(data)) + member.data[at:at + n]
        at += n
    return bytes(data)
def layout(statement, present):
    """The names that follow from the statement. Those that only some bundles have follow from what is there."""
    start = ["disclosure/" + n for n in ("format", "README.txt", "check.sh", "statement.json")]
    for n in ("collector.pub", "collector.pem", "?collector-key.sig", "?collector-cert.pub", "seal.txt",
              "?seal.txt.sig", "seal.note", "?seal.cert.sig"):
        start += ["seal/" + n.lstrip("?")] if n[0] != "?" or "seal/" + n[1:] in present else []
    for r in statement["records"]:
        names = ["content.sha256" if r["content"] == "withheld" else "content.jsonl",
                 "meta.sha256" if r["metadata"] == "withheld" else "meta.jsonl", "record.tlog-proof"]
        names += {"whole": ["content"], "blocks": ["blocks.sha256", "blocks-%s" % r.get("first")]}.get(r["content"], [])
        start += ["records/%d/%s" % (r["leaf"], n) for n in names]
    end = ["disclosure/members.sha256"]
    end += [n for n in ["disclosure/members.sha256.sig"] if n in present]
    return start, start + end + sorted(n for n in present if n.startswith("custody/"))
def read_statement(data):
    s = line_of_json(data, "v origin seal size ?by to basis records", 1 << 20)
    texts(s, [n for n in ("by", "to", "basis") if n in s], 4096)
    need(type(s["size"]) is int and 1 <= len(s["records"]) <= 4096, "no records, or too many")
    for r in s["records"]:
        blocks = r["content"] == "blocks"
        keys(r, "leaf content first count metadata" if blocks else "leaf content metadata")
        need(r["content"] in ("withheld", "line", "whole", "blocks") and r["metadata"] in ("line", "withheld"), "forms")
        need(not blocks or type(r["first"]) is type(r["count"]) is int, "blocks that are no numbers")
        need(not blocks or r["first"] >= 0 and r["count"] >= 1, "no blocks")
    ascending([r["leaf"] for r in s["records"]], s["size"])
    return s
def included(leaf, index, size, path):
    """The root that a leaf and its audit path lead to: RFC 9162, section 2.1.3.2."""
    node, last = leaf, size - 1
    for sibling in path:
        need(last > 0 and len(sibling) == 32, "audit path")
        if index & 1 or index == last:
            node = sha256(b"\1" + sibling + node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + sibling)
        index, last = index >> 1, last >> 1
    need(last == 0, "audit path")
    return node
def record(r, files, members, size, root, note):
    """The two lines of a record, None for one that is withheld, and in words what is proven of it."""
    leaf, place, lines, sums = r["leaf"], "records/%d/" % r["leaf"], [], []
    for name in ("content", "meta"):
        withheld, shown = files.get(place + name + ".sha256"), files.get(place + name + ".jsonl")
        if withheld is None:
            value, sum_ = v.line(shown, None, leaf, False)
        else:
            value, sum_ = None, digest(withheld[:-1].decode())
            need(withheld[64:] == b"\n", "digest of record %d in another spelling" % leaf)
        lines, sums = lines + [value], sums + [sum_]
    head, _, rest = files[place + "record.tlog-proof"].partition(b"\n\n")
    first, index, *path = head.split(b"\n")
    need((first, index, rest) == (b"c2sp.org/tlog-proof@v1", b"index %d" % leaf, note), "proof of record %d" % leaf)
    found = included(sha256(b"\0" + hexlines(sums)), leaf, size, [b64(p) for p in path])
    need(found == root, "record %d does not lead to the seal" % leaf)
    item, words = lines[0], ["existence"]
    if r["content"] == "line":
        need("size" not in item and "sha256" not in item, "bytes of record %d are missing" % leaf)
        words.append("no bytes")
    if r["content"] == "whole":
        whole(item, members[place + "content"])
        words.append("content")
    if r["content"] == "blocks":
        start = "blocks-%d" % r["first"]
        blocks(r, item, files[place + "blocks.sha256"], files[place + start])
        words.append("range of %d bytes from %d" % (len(files[place + start]), r["first"] << 22))
    return lines, words + ["metadata"] * (r["metadata"] == "line")
def whole(item, member):
    ends = [0] + [off + n for off, n in member.ranges]
    holes = [[e, off - e] for (off, _), e in zip(member.ranges, ends) if off > e]
    apart = item.get("sums") == "stored"
    need(holes == ([] if apart else item.get("holes", [])), "holes of record %d" % item["i"])
    need(member.size == item["stored" if apart else "size"] and len(member.data) == item["stored"], "size")
    need(sha256(unpacked(member)).hex() == item["sha256"], "hash of record %d" % item["i"])
def blocks(r, item, listed, data):
    size, step = item["size"], 4 << 20
    sums = [digest(line.decode()) for line in listed.splitlines()]
    need(hexlines(sums) == listed and len(sums) == -(-size // step) and len(listed) <= 65 << 18, "list of blocks")
    need(item["blk"] == {"size": step, "root": v.root([sha256(b"\0" + s) for s in sums]).hex()}, "list of blocks")
    some = sums[r["first"]:r["first"] + r["count"]]
    need(len(some) == r["count"] and len(data) == min(len(some) * step, size - r["first"] * step), "number of blocks")
    need([sha256(data[at:at + step]) for at in range(0, len(data), step)] == some, "a block is another")
def certificate(line):
    """The fields of an OpenSSH certificate for an Ed25519 key (PROTOCOL.certkeys), and what of it was signed."""
    blob, at, fields = b64(line.split()[1]), 0, []
    for kind in "sssQIssQQsssss":
        if kind == "s":
            at += 4
            end = at + struct.unpack_from(">I", blob, at - 4)[0]
            fields.append(blob[at:end])
        else:
            end = at + struct.calcsize(kind)
            fields.append(struct.unpack_from(">" + kind, blob, at)[0])
        at = end
    need(at == len(blob), "no certificate")
    return fields, blob[:at - 4 - len(fields[-1])]
def vouches(line, key, exhibit, at):
    """The key that made the certificate, where it is for the run's key, this exhibit and time: bundle.md, section 8.
    Where a signature of the seal carries it, ssh-keygen says so. Here it has to be an Ed25519 key's, for openssl."""
    fields, signed = certificate(line)
    _, _, pub, _, kind, _, names, begins, ends, options, _, _, authority, signature = fields
    who = "collector" + ("@" + exhibit if exhibit else "")
    blob = string(b"ssh-ed25519")
    fits = pub == key and kind == 1 and names == string(who.encode()) and not options and begins <= at // 10**9 < ends
    holds = authority[:len(blob)] == signature[:len(blob)] == blob and v.holds(
        *"openssl pkeyutl -verify -pubin -inkey key -rawin -in message -sigfile sig".split(),
        key=v.pem(authority[-32:]), message=signed, sig=signature[-64:])
    return [authority] if fits and holds else []
def custody(files, s, seal, listed, entries, now):
    """Section 5; the number of events whose signer is known."""
    events = {n: v.event(data) for n, data in files.items() if n.endswith(".json")}
    need(len(files) <= 8192 and max(map(len, files.values())) <= 65536, "the custody log is too long")
    need(events, "a custody log without an event")
    about, known = events[min(events)], 0
    for n in files:
        m = re.fullmatch(r"(.+?\.json)(\.sig|\..+\.countersig)?", n)
        need(m and m[1] in events, "no file of a custody log: %a" % n)
        if n.endswith(".countersig"):
            v.sshsig(files[n], files[m[1]], "exhibit-custody")
    for n in events:
        verdict, why = v.judged(v.judge, n, files, events, {"id": about["case"]}, about["exhibit"], entries, now)
        need(v.GRAVITY(verdict) < v.GRAVITY("DAMAGED"), "%s: %s" % (n, why))
        known += verdict == "VERIFIED"
    heads = {sha256(files[n]).hex(): n for n in events}
    for e in events.values():
        heads = {d: n for d, n in heads.items() if d not in e["prev"]}
    need(sum(not e["prev"] for e in events.values()) == 1 and len(heads) == 1, "more than one beginning or end")
    last = events[heads.popitem()[1]]
    attached = {"name": "members.sha256", "sha256": sha256(listed).hex()}
    leaves = {ref for ref in last.get("refs", []) if ref.startswith("leaf:")}
    need(last["event"] == "disclosed" and last.get("seal") == seal and last["to"]["id"] == s["to"] and
         last.get("authority") == s["basis"] and leaves == {"leaf:%d" % r["leaf"] for r in s["records"]} and
         attached in last["attach"], "the end of the custody log is another disclosure")
    return "%d events, %d by a known signer" % (len(events), known)
def package(tar, entries, now):
    first = headers(b"disclosure/format", 21, 0, None) + b"exhibit-disclosure 1\n"
    need(tar.startswith(first), "no disclosure of version 1", "UNREADABLE")
    need(not ends_early(tar), "the end is missing", "DAMAGED")
    members = v.walk(tar, False)
    files = {n: unpacked(m) for n, m in members.items()}
    s = read_statement(files["disclosure/statement.json"])
    listed, names = layout(s, files)
    need(list(files) == names and all(m.mtime == 0 for m in members.values()), "other members, or times of members")
    need(all(len(m.data) == m.size for n, m in members.items() if not n.endswith("/content")), "holes")
    text = {n[5:]: data for n, data in files.items() if n.startswith("seal/")}
    origin, size, root = body(text["seal.txt"])
    seal = sha256(text["seal.txt"]).hex()
    need((s["origin"], s["seal"], s["size"]) == (origin, seal, size), "the statement is about another seal")
    kind, encoded = text["collector.pub"].rstrip(b"\n").split(b" ")
    blob = b64(encoded)
    key = blob[-32:]
    need(kind == b"ssh-ed25519" and blob == string(kind) + string(key), "no Ed25519 key")
    need(text["collector.pub"] == b"%s %s\n" % (kind, encoded) and text["collector.pem"] == v.pem(key), "two keys")
    v.note(text["seal.note"], text["seal.txt"], key)
    signed, bound = "seal.txt.sig" in text, "collector-cert.pub" in text
    need(("seal.cert.sig" in text) == (signed and bound), "signature with the certificate: missing, or too many")
    if signed:
        need(v.sshsig(text["seal.txt.sig"], text["seal.txt"], "exhibit-seal", (64,)) == blob, "seal by another key")
    if "seal.cert.sig" in text:
        by = v.sshsig(text["seal.cert.sig"], text["seal.txt"], "exhibit-seal", (64,))
        need(by == b64(text["collector-cert.pub"].split()[1]), "seal by another certificate")
    keys_ = [blob]
    if "collector-key.sig" in text:
        keys_.append(v.sshsig(text["collector-key.sig"], text["collector.pub"], "exhibit-custody"))
    header, trailer = None, None
    for r in s["records"]:
        (item, meta), words = record(r, files, members, size, root, text["seal.note"])
        if item is not None:
            need((item["k"] == "header") == (r["leaf"] == 0), "header in another place")
            need(not signed or (item["k"] == "trailer") == (r["leaf"] == size - 1), "trailer in another place")
            header, trailer = item.get("header", header), item.get("trailer", trailer)
        if item is not None and meta is not None:
            need(("member" in meta) == ("sha256" in item), "lines of record %d" % r["leaf"])
        print(ascii("record %d: %s" % (r["leaf"], ", ".join(words)))[1:-1])
    if header:
        sums = {"exhibit/" + n: sha256(text[n]).hex() for n in text if n.startswith("collector")}
        need(header["key"].encode() + b"\n" == text["collector.pub"], "the header names another key")
        need("exhibit.bundle.v1/" + header["bundle"] == origin, "the header names another bundle")
        need({n: d for n, d in header["members"].items() if n.startswith("exhibit/collector")} == sums, "binding")
    sums = b"".join(b"%s  %s\n" % (sha256(files[n]).hex().encode(), n.encode()) for n in listed)
    need(files["disclosure/members.sha256"] == sums, "members.sha256 lists other members")
    if "disclosure/members.sha256.sig" in files:
        giver = v.sshsig(files["disclosure/members.sha256.sig"], sums, "exhibit-custody")
        words = v.trust(entries, giver, None, ["exhibit-custody"], now, now)
        print(ascii("for %s, basis %s: signed, %s" % (s["to"], s["basis"], words))[1:-1])
    else:
        print(ascii("for %s, basis %s: signed by nobody" % (s["to"], s["basis"]))[1:-1])
    log = {n[8:]: data for n, data in files.items() if n.startswith("custody/")}
    if log:
        print("custody log:", custody(log, s, seal, sums, entries, now))
    best = who(entries, keys_, text, header, trailer, now)
    best = "VERIFIED-PREFIX" if best == "VERIFIED" and not signed else best
    return best, "%d of %d records are shown" % (len(s["records"]), size)
def who(entries, known, text, header, trailer, now):
    """The verdict about the signer: section 6, step 9."""
    started = v.nanoseconds(header["started"]) if header else None
    ended = v.nanoseconds(trailer["finished"]) if trailer else started
    ended = now if ended is None else ended
    verdicts = [v.trust(entries, k, None, NAMESPACES, ended, now) for k in known]
    line = text.get("collector-cert.pub", b"")
    fields = v.judged(certificate, line)[0]
    if fields != "ALTERED":  # one that cannot be read vouches for nobody
        exhibit, at = fields[6][4:].decode().partition("@")[2], fields[7] * 10**9
        exhibit, at = (header["exhibit"], started) if header else (exhibit, at)
        by, yet = [v.certified(entries, text, exhibit, t) if "seal.cert.sig" in text else
                   vouches(line, known[0][-32:], exhibit, t) for t in (at, now)]
        for k in by:
            one = v.trust(entries, k, None, NAMESPACES, ended, now)
            verdicts.append(one if k in yet else max(one, "INTACT-TIME-UNPROVEN", key=v.GRAVITY))
    return min(verdicts, key=v.GRAVITY)
# ---- Bundles from which items were erased: section 10 --------------------------------------------------------------
class Erasures:
    """Reads what stands of erasures in a bundle; exhibit_verify calls it for what it has to take as said."""
    def __init__(self):
        self.statements = []
    def __call__(self, tar, members, cut):
        """The members with statements in order, those of zeros, and for each leaf the digests of its blank lines."""
        names = [n for n in members if n.startswith("exhibit/erasure/")]
        pairs = ["exhibit/erasure/%02d.json%s" % (i, end) for i in range(len(names) // 2) for end in ("", ".sig")]
        need(names == pairs and len(pairs) <= 64, "statements: missing, or in another order")
        zeros = [n for n in members if n.startswith("exhibit/erased/")]
        gone = {}
        for name in pairs[::2]:
            self.read(members[name].data, members[name + ".sig"].data, members["exhibit/seal.txt"].data, gone)
        shape = r"exhibit/erased/(0|[1-9]\d*)\.(0|[1-9]\d*)"
        places = [tuple(map(int, re.fullmatch(shape, n, re.A).groups())) for n in zeros]
        for leaf in {leaf for leaf, _ in places}:
            need([n for one, n in places if one == leaf] == list(range(sum(one == leaf for one, _ in places))), "order")
        need(cut or {leaf for leaf, _ in places} <= set(gone), "more is gone than is said")
        need(not any(any(members[n].data) for n in zeros), "something stands where an item was erased")
        if pairs and not cut:
            kept = tar[:members["exhibit/seal.txt"].at]
            said = self.statements[-1]
            need(len(tar) - len(kept) <= 1 << 20, "too much behind the seal")
            need((said["kept_size"], said["kept_sha256"]) == (len(kept), sha256(kept).hex()), "what is kept is another")
        return pairs, zeros, gone
    def read(self, data, signature, seal, gone):
        s = line_of_json(data, "v seal from_sha256 from_size at by order reason items kept_sha256 kept_size", 1 << 20)
        need(s["seal"] == sha256(seal).hex(), "an erasure of another bundle")
        texts(s, ("by", "order", "reason"), 1024)
        need(digest(s["from_sha256"]) and digest(s["kept_sha256"]) and s["from_size"] >= 1, "what was erased from")
        size = body(seal)[1]
        ascending([i["leaf"] for i in s["items"]], size - 1)
        need(s["items"] and s["items"][0]["leaf"] > 0, "nothing, or the header, was erased")
        for i in s["items"]:
            keys(i, "leaf content ?metadata")
            before = gone.get(i["leaf"])
            sums = (digest(i["content"]), digest(i["metadata"]) if "metadata" in i else None)
            need(not before or before[1] is None and sums[1] and before[0] == sums[0], "leaf %d again" % i["leaf"])
            gone[i["leaf"]] = sums
        need(len(gone) <= 4096, "more records than may be erased")
        s["key"] = v.sshsig(signature, data, "exhibit-custody")
        need(b"-cert-v01@" not in s["key"][:60], "signed with a certificate")
        self.statements.append(s)
    def judge(self, seal, entries, now):
        """The verdict, given that about the seal."""
        found = []
        for s in self.statements:
            at, leaves = v.nanoseconds(s["at"]), ", ".join(str(i["leaf"]) for i in s["items"])
            one = v.trust(entries, s["key"], None, ["exhibit-custody"], at, now)
            if one == "VERIFIED" and at > now + 86400 * 10**9:
                one = "INTACT-TIME-UNPROVEN"
            found.append(one)
            words = (s["at"], leaves, s["by"], s["order"], s["reason"], one)
            print(ascii("%s: records %s erased by %s, order %s, reason %s: %s" % words)[1:-1])
        if seal == "INTACT-SIGNER-UNKNOWN" or not found:
            return seal
        if "INTACT-SIGNER-UNKNOWN" in found:
            return "DAMAGED"
        return max(found + [seal, "VERIFIED-PREFIX"], key=v.GRAVITY)
def bundle(data, entries, now):
    erasures = Erasures()
    verdict, why = v.bundle(data, entries, now, erasures)
    return erasures.judge(verdict, entries, now), why
def main():
    options, (what, path) = getopt.gnu_getopt(sys.argv[1:], "", ["signers=", "now="])
    chosen = dict(options)
    now = v.nanoseconds(chosen["--now"]) if "--now" in chosen else time.time_ns()
    entries = v.signers(chosen.get("--signers", os.devnull))
    verdict, why = v.judged({"package": package, "bundle": bundle}[what], pathlib.Path(path).read_bytes(), entries, now)
    print("%s\n%s" % (ascii(why)[1:-1], verdict))
    return v.EXIT[verdict]
if __name__ == "__main__":
    sys.exit(main())
