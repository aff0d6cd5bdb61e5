#!/usr/bin/env python3
"""A second, independent verifier of Exhibit's evidence, written from docs/format/bundle.md and custody.md alone, with
Python 3.9, its standard library, zstd, ssh-keygen and openssl. exhibit_disclosure.py goes on with what is disclosed.
    exhibit_verify.py {bundle FILE | event FILE | custody CASE EXHIBIT [--head SHA256]...} [--signers FILE] [--now UTC]
It prints why, and last the verdict; the exit code is that of bundle.md. It stops at the first defect of a bundle."""
import base64, calendar, collections, fnmatch, getopt, hashlib, io, json, os, pathlib, re, struct, subprocess, sys
import tarfile, tempfile, time
EXIT = {"VERIFIED": 0, "VERIFIED-PREFIX": 3, "INTACT-TIME-UNPROVEN": 5, "INTACT-SIGNER-UNKNOWN": 5,
        "DAMAGED": 4, "ALTERED": 4, "UNREADABLE": 1, "NEWER": 7}  # the later, the graver
GRAVITY = list(EXIT).index
class Broken(Exception):
    """A verdict, and why."""
def need(condition, text, verdict="ALTERED"):
    if not condition:
        raise Broken(verdict, text)
def judged(what, *args):
    """The verdict that what returns or fails with, and why."""
    try:
        return what(*args)
    except Broken as e:
        return e.args
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as e:
        return "ALTERED", repr(e)
def sha256(data):
    return hashlib.sha256(data).digest()
def hexlines(digests):
    return b"".join(d.hex().encode() + b"\n" for d in digests)
# ---- Signatures, and who may sign ----------------------------------------------------------------------------------
def holds(*command, **files):
    """Whether a program exits with 0 in a folder with these files; it reads the one called message."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            pathlib.Path(folder, name).write_bytes(data)
        utc = dict(os.environ, TZ="UTC")
        return subprocess.run(command, cwd=folder, env=utc, input=files["message"], capture_output=True).returncode == 0
def b64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data) == text, "base64 in another spelling")
    return data
def string(data):
    return struct.pack(">I", len(data)) + data
def sshsig(armor, message, namespace, widths=(64, 70)):
    """The public key that made an armored SSH signature over message (OpenSSH, PROTOCOL.sshsig)."""
    lines = "|".join(r"(?:.{%d}\n)*.{1,%d}" % (n, n) for n in widths)
    m = re.fullmatch(("-----BEGIN SSH SIGNATURE-----\n(%s)\n-----END SSH SIGNATURE-----\n" % lines).encode(), armor)
    need(m, "armor in another spelling")
    blob = b64(m[1].replace(b"\n", b""))
    end = 14 + struct.unpack_from(">I", blob, 10)[0]
    need(blob[end:].startswith(string(namespace.encode()) + string(b"") + string(b"sha512")), "SSHSIG of another kind")
    if blob[18:29] == b"ssh-ed25519":  # S is below the order (RFC 8032); ssh-keygen asks less
        need(int.from_bytes(blob[-32:], "little") < 2**252 + 27742317777372353535851937790883648493, "S out of range")
    need(holds(*"ssh-keygen -Y check-novalidate -s sig -n".split(), namespace, message=message, sig=armor), "signature")
    return blob[14:end]
def pem(key):  # as SubjectPublicKeyInfo (RFC 8410)
    text = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + key)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"\n-----END PUBLIC KEY-----\n"
def note(data, body, key):
    """Data must be body and one signature line by the run's key (C2SP signed-note)."""
    origin = body.split(b"\n")[0]
    head = b"%s\n%s %s " % (body, "—".encode(), origin)
    need(data.startswith(head) and data.endswith(b"\n"), "note over something else, or in another spelling")
    raw = b64(data[len(head):-1])
    need(raw[:4] == sha256(origin + b"\n\1" + key)[:4] and holds(
        "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "message", "-sigfile", "sig",
        key=pem(key), message=body, sig=raw[4:]), "signature of a note does not hold")
def bound(text):  # a time of allowed_signers in seconds; without Z it is local
    moment = time.strptime(text.rstrip("Z").ljust(14, "0"), "%Y%m%d%H%M%S")
    return calendar.timegm(moment) if text.endswith("Z") else time.mktime(moment)
def signers(path):
    """[(principals, options, key, its line)] of an allowed_signers file; cert-authority only ever adds trust."""
    line = r'^"?([^\s"#]+)"?[ \t]+(?:((?:[^\s"]|"[^"\n]*")+)[ \t]+)??((?:sk-)?(?:ssh|ecdsa)-\S+[ \t]+\S+)'
    return [(who, dict(re.findall(r'([a-z-]+)(?:="([^"]*)")?', options)), base64.b64decode(key.split()[1]), key)
            for who, options, key in re.findall(line, pathlib.Path(path).read_text("utf-8"), re.M)
            if "cert-authority" not in options]
def matches(patterns, text):
    hits = [p for p in patterns.split(",") if fnmatch.fnmatchcase(text, p.lstrip("!").replace("[", "[[]"))]
    return bool(hits) and not any(p.startswith("!") for p in hits)
def trust(entries, key, principal, namespaces, stated, now):  # times in nanoseconds; the principal None is anybody
    ok = [any(k == key and (principal is None or matches(who, principal)) and
              any(matches(o.get("namespaces", "*"), n) for n in namespaces) and
              bound(o.get("valid-after", "19700101Z")) <= at // 10**9 <= bound(o.get("valid-before", "99991231Z"))
              for who, o, k, _ in entries) for at in (stated, now)]
    return "VERIFIED" if all(ok) else "INTACT-TIME-UNPROVEN" if ok[0] else "INTACT-SIGNER-UNKNOWN"
def certified(entries, text, exhibit, at):
    """The known keys by which the certificate of the run's key holds at a time, as ssh-keygen judges it: section 8."""
    who, blob = "collector" + ("@" + exhibit if exhibit else ""), b64(text["collector-cert.pub"].split()[1])
    nonce = string(string(parse(text["order.json"])["nonce"].encode())) if "order.json" in text else b""
    fits = string(string(who.encode())) in blob and nonce in blob
    when = time.strftime("verify-time=%Y%m%d%H%M%S", time.gmtime(at // 10**9))
    command = "ssh-keygen -Y verify -f known -n exhibit-seal -s sig -O".split() + [when, "-I", who]
    return [key for _, _, key, line in entries if fits and holds(
        *command, message=text["seal.txt"], sig=text["seal.cert.sig"],
        known=("%s cert-authority %s\n" % (who, line)).encode())]
def unique(pairs):
    need(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)
def parse(data, high=2**64):
    """JSON without a key that stands twice, and with integers of 64 bits only."""
    def whole(text):
        need(re.fullmatch(r"-?\d{1,20}", text) and -2**63 <= int(text) < high, "no integer of 64 bits: %.40s" % text)
        return int(text)
    return json.loads(data.decode(), object_pairs_hook=unique, parse_int=whole, parse_float=whole, parse_constant=whole)
def nanoseconds(text):  # since 1970, of a time of a record or an event
    m = re.fullmatch(r"@(-?\d{1,19})\.(\d{9})|(\d{4}-\d\d-\d\dT\d\d:\d\d:[0-5]\d)(?:\.(\d{1,9}))?Z", text, re.A)
    need(m, "no time: " + text)
    seconds = int(m[1]) if m[1] else calendar.timegm(time.strptime(m[3], "%Y-%m-%dT%H:%M:%S"))
    return seconds * 10**9 + int((m[2] or m[4] or "").ljust(9, "0"))
# ---- bundle.md, sections 2 and 3: frames and tar -------------------------------------------------------------------
FRAME, SKIPPABLE, TABLE_END = b"\x28\xb5\x2f\xfd", b"\x5e\x2a\x4d\x18", b"\xb1\xea\x92\x8f"
def frame(data, at):
    """Compressed and declared size of the frame at a place (RFC 8878); struct.error where the file ends inside it."""
    magic, flags = struct.unpack_from("<4sB", data, at)
    need(magic == FRAME and flags & 0x3F == 0x24, "no frame of one segment with a checksum at %d" % at, "DAMAGED")
    wide = 1 << (flags >> 6)
    content = int.from_bytes(data[at + 5:at + 5 + wide], "little") + (256 if wide == 2 else 0)
    end, last = at + 5 + wide, 0
    while not last:
        block = int.from_bytes(struct.unpack_from("3s", data, end)[0], "little")
        last, kind = block & 1, block >> 1 & 3
        end += 3 + (1 if kind == 1 else block >> 3)
    struct.unpack_from("4s", data, end)  # the checksum
    return end + 4 - at, content
def frames(data):  # the tar, and whether its end is missing
    tar, sizes, at = [], [], 0
    try:
        while at < len(data) and data[at:at + 4] != SKIPPABLE:
            size, content = frame(data, at)
            need(1 <= content <= 4 << 20, "frame at %d is empty, or too long" % at, "DAMAGED")
            done = subprocess.run(["zstd", "-dcq", "--memory=8MB"], input=data[at:at + size], capture_output=True)
            need(done.returncode == 0 and len(done.stdout) == content, "frame at %d cannot be decoded" % at, "DAMAGED")
            tar, sizes, at = tar + [done.stdout], sizes + [struct.pack("<II", size, content)], at + size
    except struct.error:
        need(not data.endswith(TABLE_END), "frame at %d leads behind the end" % at, "DAMAGED")
        return b"".join(tar), True
    end, table = data[at:], struct.pack("<4sI", SKIPPABLE, 8 * len(sizes) + 9) + b"".join(sizes)
    table += struct.pack("<IB", len(sizes), 0) + TABLE_END
    need(table.startswith(end) or end.startswith(table), "the seek table does not fit the frames", "DAMAGED")
    need(len(end) <= len(table), "bytes behind the seek table")
    return b"".join(tar), len(end) < len(table)
# size: with holes; off and ranges: what is stored; at and end: of all of it in the tar; mtime: nanoseconds
Member = collections.namedtuple("Member", "at data size off ranges mtime end")
def ustar(name, size, seconds, kind):
    def block(check):
        return (name[:100].ljust(100, b"\0") + b"0000444\0" + b"0000000\0" * 2 + b"%011o\0%011o\0" % (size, seconds) +
                check + kind + bytes(100) + b"ustar\0" + b"00").ljust(512, b"\0")
    return block(b"%06o\0 " % sum(block(b" " * 8)))
def headers(name, size, mtime, realsize):  # the one spelling of a member's headers
    records, plain, text = [], name, b""
    if realsize is not None:
        records = [b"GNU.sparse.major=1", b"GNU.sparse.minor=0", b"GNU.sparse.name=" + name,
                   b"GNU.sparse.realsize=%d" % realsize]
        plain = b"/GNUSparseFile.0/".join(name.rpartition(b"/")[::2])
    if mtime % 10**9 or not 0 <= mtime < 2**33 * 10**9:
        decimal = b"%d.%09d" % divmod(abs(mtime), 10**9)
        records.append((b"mtime=-" if mtime < 0 else b"mtime=") + decimal.rstrip(b"0").rstrip(b"."))
    records += [b"path=" + plain] * (len(plain) > 100) + [b"size=%d" % size] * (size >= 8 << 30)
    for r in records:  # each begins with its own length
        text += b"%d %s\n" % (next(n for n in range(len(r), len(r) + 8) if n == len(r) + 2 + len(str(n))), r)
    short = b"PaxHeaders/" + plain[:100].rstrip(b"/").rpartition(b"/")[2][:80]
    pax = ustar(short, len(text), 0, b"x") + text + bytes(-len(text) % 512) if text else b""
    return pax + ustar(plain, size if size < 8 << 30 else 0, min(max(mtime // 10**9, 0), 2**33 - 1), b"0")
def member(tar, info):
    """The member that tarfile found, its headers written again and compared; None where the tar ends inside it."""
    whole, _, fraction = info.pax_headers.get("mtime", "%d" % info.mtime).partition(".")
    name, mtime, ranges, text = info.name.encode("latin-1"), int(whole + fraction.ljust(9, "0")), [(0, info.size)], b""
    if info.issparse():
        ranges, ends = info.sparse, [0] + [off + n for off, n in info.sparse]
        text = b"%d\n" % len(ranges) + b"".join(b"%d\n%d\n" % pair for pair in ranges)
        text += bytes(-len(text) % 512)
        need(ends[-1] == info.size and not any(off % 512 or n % 512 for off, n in ranges[:-1]) and
             all(off > e or off == 0 for (off, _), e in zip(ranges, ends)), "sparse map of %a" % name)
    need(min(map(min, ranges)) >= 0, "size of %a" % name)
    stored = sum(n for _, n in ranges)
    head = headers(name, len(text) + stored, mtime, info.size if info.issparse() else None) + text
    off = info.offset + len(head)
    end = off + stored + -stored % 512
    need(tar[info.offset:off] == head[:len(tar) - info.offset], "headers of %a are not in their one spelling" % name)
    need(not any(tar[off + stored:end]), "padding behind %a is not zero" % name)
    return Member(info.offset, tar[off:off + stored], info.size, off, ranges, mtime, end) if end <= len(tar) else None
def walk(tar, cut):
    members, at = {}, 0  # by name
    try:
        for info in tarfile.open(fileobj=io.BytesIO(tar), mode="r:", encoding="latin-1"):
            m = member(tar, info)
            if m is None and cut:
                return members
            need(m and info.offset == at and info.name not in members, "member twice, or cut off: %a" % info.name)
            members[info.name], at = m, m.end
    except tarfile.TarError as e:
        need(cut, "tar: %s" % e)
    need(cut and len(tar) < at + 1024 or tar[at:] == bytes(1024), "no end of the tar, or not where it must be")
    return members
# ---- bundle.md, sections 3 to 11 -----------------------------------------------------------------------------------
HEAD = ["exhibit/" + n for n in "format collector.pub collector.pem collector-key.sig collector-cert.pub order.json "
        "order.json.sig README.txt verify.py verify.sh header.json".split()]
TAIL = ["exhibit/" + n for n in "recovery.json leaves.txt index/manifest.txt index/members.txt seal.txt seal.txt.sig "
        "seal.note seal.cert.sig recovery.note locator".split()]
def layout(names, cut, erasures):  # control members in their order, and content before a batch: section 3.1
    control = [n for n in names if not re.fullmatch(r"exhibit/blocks/\d+\.sha256|exhibit/erased/.+|files/.+", n)]
    turns = ["exhibit/" + n % i for i in range(len(control)) for n in ("manifest/%06d.jsonl", "checkpoint/%06d.note")]
    turns = turns[:sum(n in turns for n in control)]
    rare = r"/seal\.|recovery" if "exhibit/recovery.note" in names else r"cert\.sig|recovery"
    want = [n for n in HEAD if n in control] + turns + [n for n in TAIL if n in control or not re.search(rare, n)]
    want[-1:] = erasures + want[-1:]
    need(control == want[:len(control)] and (cut or control == want and len(turns) % 2 == 0 and names[-1] in control),
         "control members: missing, unknown, or in another order")
    for this, following in zip(names, names[1:]):
        need(this in control or following not in control or following in turns[::2] or "/recovery." in following,
             "content elsewhere than before a batch: %a" % this)
def root(leaves):  # RFC 6962, section 2.1
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))
def content(item, meta, members, started):
    """Everything sections 3 to 6 say of a record with content; the names of its members."""
    name, holes, stored, whole = meta["member"], item.get("holes", []), item.get("sums") == "stored", bytearray()
    need(len(name) <= 1024 and re.fullmatch(r"files(/(?!-)[A-Za-z0-9._\-+=@,%~]{0,219}[A-Za-z0-9_\-+=@,%~]){2,}", name),
         "name is not inert: %a" % name)
    names = ["%s.seg%05d" % (name, n) for n in range(item["segs"])] if "segs" in item else [name]
    parts = [members[n] for n in names]
    ranges, ends = [r for p in parts for r in p.ranges], [0] + [off + n for off, n in parts[0].ranges]
    need([[p.off, p.size] for p in parts] == meta.get("segs", [[meta.get("off"), parts[0].size]]), "place of " + name)
    mtime = nanoseconds(meta["stat"]["mtime"]) if "mtime" in meta.get("stat", {}) else started
    need(all(p.mtime == mtime for p in parts), "mtime of " + name)
    need([[e, off - e] for (off, _), e in zip(parts[0].ranges, ends) if off > e] == holes and
         (len(parts) == 1 or len(ranges) == len(parts)), "holes of " + name)
    need(sum(p.size for p in parts) == item["size"] and sum(n for _, n in ranges) == item["stored"], "size of " + name)
    need((sum(n for _, n in holes) > 1 << 30) == stored, "sums of " + name)
    for part in parts:
        end = at = 0
        for off, n in part.ranges:
            whole += bytes(0 if stored else off - end) + part.data[at:at + n]
            end, at = off + n, at + n
    need(sha256(whole).hex() == item["sha256"], "hash of " + name)
    if "blk" in item:
        blocks = [sha256(whole[i:i + (4 << 20)]) for i in range(0, len(whole), 4 << 20)]
        names.append("exhibit/blocks/%d.sha256" % item["i"])
        need(members[names[-1]].data == hexlines(blocks) and item["blk"]["size"] == 4 << 20 and
             item["blk"]["root"] == root([sha256(b"\0" + b) for b in blocks]).hex(), "blocks of " + name)
    return names
def manifest_index(text, places):  # what it must be, given which stretches of records it wants to show
    parts = [places[int(line.split()[0]):][:int(line.split()[1])] for line in text.splitlines()]
    need(sum(parts, []) == places and all(p[0][3] == p[-1][3] for p in parts), "index/manifest.txt leads astray")
    return b"".join(b"%d %d %d %d %d\n" % (p[0][0], len(p), p[0][1], sum(r[2] for r in p), p[0][3]) for p in parts)
def line(text, erased, i, cut):  # what it says, and its digest; erased is that of one that is gone: disclosure.md, 10
    blank = text.strip(b" ") == b"\n"
    need(blank == bool(erased), "record %d: lines are blank, or not" % i, "DAMAGED" if cut else "ALTERED")
    value = {"i": i, "salt": "0" * 32, "k": "erased"} if blank else parse(text)
    right = value["i"] == i and re.fullmatch("[0-9a-f]{32}", value["salt"])
    need(right and len(text) <= 1 << 20 and text.endswith(b"\n"), "record %d: index, salt or length of a line" % i)
    return value, erased or sha256(text)
def bundle(data, entries, now, erasures=lambda *_: ([], [], {})):
    tar, cut = frames(data)
    began = int(re.sub(rb"[^0-7]", b"0", b"0" + tar[136:147]), 8) * 10**9
    first = headers(b"exhibit/format", 17, began, None) + b"exhibit-bundle 1\n"
    need(tar.startswith(first), "no bundle of version 1", "UNREADABLE")
    members = walk(tar, cut)
    names, text = list(members), {n[8:]: m.data for n, m in members.items() if n.startswith("exhibit/")}
    need(not cut or "header.json" in text, "the file ends before its header", "UNREADABLE")
    cut = cut or "recovery.json" in text  # section 11: a prefix at best
    need(not parse(text.get("recovery.json", b'{"lost":null}'))["lost"], "recovered, and bytes are lost", "DAMAGED")
    statements, used, gone = erasures(tar, members, cut)
    layout(names, cut, statements)
    head = parse(text["header.json"].split(b"\n")[0])["header"]
    blob = b64(head["key"].split(" ")[1].encode())
    key, origin = blob[-32:], b"exhibit.bundle.v1/" + head["bundle"].encode()
    started = nanoseconds(head["started"]) // 10**9 * 10**9
    need(blob == string(b"ssh-ed25519") + string(key) and head["key"].startswith("ssh-ed25519 "), "no Ed25519 key")
    sums = {n: sha256(members[n].data).hex() for n in names[:names.index(HEAD[-1])]}
    need(head["members"] == sums, "a member before the header is not the one it lists")
    need(all(m.mtime == started for n, m in members.items() if n.startswith("exhibit/")), "time of a control member")
    need((head["grade"] == "A") == ("collector-key.sig" in text), "grade and binding differ")
    keys = [blob] + [sshsig(text[n], text["collector.pub"], "exhibit-custody") for n in {"collector-key.sig"} & {*text}]
    leaves, items, places, proven, body, used, ended = [], [], [], 0, b"", {*used}, started
    for name, m in members.items():  # section 4 and 7
        lines, at = m.data.splitlines(True), m.off
        if name.startswith("exhibit/manifest/"):
            need(lines and len(lines) % 2 == 0, "no records, or half of one: " + name)
            for i, pair in enumerate(zip(lines[::2], lines[1::2]), len(leaves)):
                (item, meta), digests = zip(*[line(*both, i, cut) for both in zip(pair, gone.get(i, (None, None)))])
                leaves.append(sha256(b"\0" + hexlines(digests)))
                items.append((item, meta))
                places.append((item["i"], at, len(b"".join(pair)), int(name[-12:-6])))
                at += len(b"".join(pair))
        elif name.startswith("exhibit/checkpoint/"):
            body = b"%s\n%d\n%s\n" % (origin, len(leaves), base64.b64encode(root(leaves)))
            note(m.data, body, key)
            proven, end = len(leaves), m.at
    need(proven, "no checkpoint is proven", "UNREADABLE")
    for item, meta in items if not cut else items[:proven]:
        need((item["k"] == "header") == (item["i"] == 0), "record %d is no header, or a second one" % item["i"])
        need(cut or (item["k"] == "trailer") == (item["i"] + 1 == len(items)), "record %d and trailer" % item["i"])
        need("member" in meta or not {"sha256", "size"} & set(item), "record %d has content, but no member" % item["i"])
        used.update(content(item, meta, members, started) if "member" in meta and item["i"] not in gone else [])
        ended = nanoseconds(item["trailer"]["finished"]) if "trailer" in item else ended
    for n in names:
        open_end = cut and (members[n].at > end or re.search(r"\.seg\d{5}$", n))
        need(n in used or open_end or not re.match("files/|exhibit/(blocks|erased)/", n), "without a record: %a" % n)
    folded = {n.lower() for n in names}
    folders = {n[:m.start()] for n in folded for m in re.finditer("/", n)}
    need(len(folded) == len(names) and not folded & folders, "names of members meet")
    index = sorted(b"%s %06x\n" % (sha256(meta["member"].lower().encode()).hex()[:10].encode(), item["i"])
                   for item, meta in items if "member" in meta)
    need(len({line[:10] for line in index}) == len(index), "keys of index/members.txt meet")
    want = {"collector.pub": head["key"].encode() + b"\n", "collector.pem": pem(key), "leaves.txt": hexlines(leaves),
            "header.json": b"".join(text["manifest/000000.jsonl"].splitlines(True)[:2]), "seal.txt": body,
            "index/members.txt": b"".join(index)}
    if not cut:
        want["index/manifest.txt"] = manifest_index(text["index/manifest.txt"], places)
        rows = zip((b"leaves", b"manifest-index", b"member-index", b"seal"), [members[n] for n in TAIL[1:5]])
        want["locator"] = b"exhibit-locator 1\n" + b"".join(b"%s %d %d\n" % (what, m.off, m.size) for what, m in rows)
        need(members["exhibit/locator"].at == len(tar) - 2048, "locator out of its place")
    for name, expected in want.items():  # section 9
        need(text.get(name, expected) == expected, name + " is not what it must be")
    if "seal.txt.sig" in text:
        need(sshsig(text["seal.txt.sig"], body, "exhibit-seal", (64,)) == blob, "seal by another key")
    if "seal.cert.sig" in text or "collector-cert.pub" in text and not cut:
        certificate = b64(text["collector-cert.pub"].split()[1])
        need(sshsig(text["seal.cert.sig"], body, "exhibit-seal") == certificate, "seal by another certificate")
    if "seal.note" in text:
        note(text["seal.note"], body, key)
    by, yet = [certified(entries, text, head["exhibit"], t) if "seal.cert.sig" in text else [] for t in (started, now)]
    verdicts = [trust(entries, k, None, ["exhibit-custody", "exhibit-seal"], ended, now) for k in keys + by]
    if by != yet:  # the certificate is over, and nothing else proves the time
        verdicts[len(keys):] = [max(v, "INTACT-TIME-UNPROVEN", key=GRAVITY) for v in verdicts[len(keys):]]
    best = min(verdicts, key=GRAVITY)
    return "VERIFIED-PREFIX" if cut and best == "VERIFIED" else best, "%d records are proven" % proven
# ---- Custody logs, after custody.md --------------------------------------------------------------------------------
def listed(value):
    return r"\[%s(?:,%s)*\]" % (value, value)
def fields(**shapes):
    """A regular expression of an object with these members in their order; those whose name ends in _ must be there."""
    texts = [r'(?:(?:(?<=\{)|(?<!\{),)"%s":(?:%s))%s' % (key.rstrip("_"), value, "" if key[-1] == "_" else "?")
             for key, value in shapes.items()]
    return r"\{(?!\})%s\}" % "".join(texts)
ESCAPE = r'\\(?:["\\nt]|u(?:00(?:0[0-8b-f]|1[0-9a-f]|7f|[89][0-9a-f])|061c|200[ef]|202[89a-e]|206[6-9]|feff))'
TEXT = r'"(?:[^"\\\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|%s)+"' % ESCAPE
HEX, KEY, COUNT, INT = '"(?!0{64})[0-9a-f]{64}"', '"SHA256:[A-Za-z0-9+/]{43}"', r"[1-9]\d*", r"(?:0|-?[1-9]\d*)"
KINDS = ("ordered collected sealed interrupted recovered verified opened analysed exported exception arrived copied "
         "transferred received refused returned stored derived disclosed key-changed revoked corrected noted witnessed "
         "timestamped closed destroyed").replace(" ", "|")
UTC, ZONE = r'"(?:19[7-9]|[2-9]\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"', r'"(?!-00:00)[+-](?:[01]\d|2[0-3]):[0-5]\d"'
EVENT = fields(  # the table of section 2: there is one spelling, so that one expression says it
    v_="1", case_='"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?"',
    exhibit_=r'"EX-(?!000")(?:\d{3}|[1-9]\d{3,8})"', event_='"(?:%s)"' % KINDS, prev_=listed(HEX) + r"|\[\]",
    seal=HEX, outer_sha256=HEX, size=COUNT, actor_=fields(id_=TEXT, name=TEXT, org=TEXT, role=TEXT, key_=KEY),
    to=fields(id_=TEXT, name=TEXT, org=TEXT, role=TEXT, key=KEY),
    time_=fields(utc_=UTC, tz=ZONE, source_='"(?:system|ntp|gps|tsa|manual)"', offset_ms=INT,
                 uncertainty_ms="0|" + COUNT, mono=COUNT, boot_id=TEXT), place=TEXT, purpose=TEXT, authority=TEXT,
    medium=fields(type=TEXT, make=TEXT, model=TEXT, serial=TEXT, seal_bag=TEXT),
    tool=fields(name_=TEXT, ver=TEXT, sha256=HEX), check=fields(before=TEXT, after=TEXT, result_=TEXT),
    refs=listed(TEXT), note=TEXT, attach=listed(fields(name_=TEXT, sha256_=HEX)))
def event(data):
    value = parse(data, high=2**63)
    need(type(value["v"]) is not int or value["v"] < 2, "event of a newer version", "NEWER")
    need(len(data) <= 65536 and re.fullmatch(EVENT + "\n", data.decode(), re.A), "no event in its one spelling")
    need(value["prev"] == sorted(set(value["prev"])) and nanoseconds(value["time"]["utc"]) >= 0, "parents, or time")
    return value
def judge(name, files, events, about, exhibit, entries, now):  # one event: file, place, parents, signature, signer
    e, signature, key = events.get(name), files.get(name + ".sig"), None
    if signature is not None or not e:
        key = sshsig(signature or b"", files[name], "exhibit-custody")
    e = e or event(files[name])  # fails, now that it is known to be signed, for what it is
    by_hash = {sha256(files[n]).hex(): n for n in files if n.endswith(".json")}
    parents = [by_hash.get(p) for p in e["prev"]]
    need(e["case"] == about["id"] and e["exhibit"] == exhibit, "of another case or exhibit")
    number = 1 + max([int(n.split("-")[0]) for n in parents if n in events], default=0)
    fits = name == "%04d-%s-%s.json" % (number, e["event"], sha256(files[name]).hex()[:12])
    need(fits or any(p not in events for p in parents), "its name does not fit")
    fingerprint = "SHA256:" + base64.b64encode(sha256(key or b"")).decode().rstrip("=")
    need(key is None or fingerprint == e["actor"]["key"], "signed by another key")
    need(key and None not in parents, "its signature or a predecessor is missing", "DAMAGED")
    return trust(entries, key, e["actor"]["id"], ["exhibit-custody"], nanoseconds(e["time"]["utc"]), now), "its signer"
def custody(case, exhibit, entries, now, heads):
    folder = pathlib.Path(case, "custody", exhibit)
    about = parse(pathlib.Path(case, "case.json").read_bytes())
    files = {f.name: f.read_bytes() for f in sorted(folder.iterdir()) if not f.name.startswith(".")}
    read = {n: judged(event, data) for n, data in files.items() if n.endswith(".json")}
    events = {n: e for n, e in read.items() if isinstance(e, dict)}
    found = [judged(judge, n, files, events, about, exhibit, entries, now) + (n,) for n in read]
    found += [("DAMAGED", "its event is missing", n) for n in files if n.endswith(".json.sig") and n[:-4] not in files]
    found += [("ALTERED", "a second beginning", n) for n in [n for n in events if not events[n]["prev"]][1:]]
    found += [("DAMAGED", "not in the log", h) for h in set(heads) - {sha256(files[n]).hex() for n in events}]
    for verdict, text, name in found:
        print(ascii("%s: %s: %s" % (name, verdict, text)))
    return max([f[0] for f in found], key=GRAVITY) if read else "UNREADABLE", "%d events" % len(read)
def main():
    options, (what, path, *exhibit) = getopt.gnu_getopt(sys.argv[1:], "", ["signers=", "now=", "head="])
    chosen, heads = dict(options), [value for option, value in options if option == "--head"]
    now = nanoseconds(chosen["--now"]) if "--now" in chosen else time.time_ns()
    entries = signers(chosen.get("--signers", path + "/allowed_signers" if what == "custody" else os.devnull))
    kinds = {"bundle": lambda: bundle(pathlib.Path(path).read_bytes(), entries, now),
             "custody": lambda: custody(path, exhibit[0], entries, now, heads),
             "event": lambda: ("VERIFIED", event(pathlib.Path(path).read_bytes())["event"])}
    verdict, why = judged(kinds[what])
    print("%s\n%s" % (ascii(why)[1:-1], verdict))
    return EXIT[verdict]
if __name__ == "__main__":
    sys.exit(main())
