"""Bundles, after docs/format/bundle.md."""

import base64, collections, functools, re, struct, subprocess

from primitives import Broken, GRAVITY, Findings, b64, ed25519, need, parse, pem, sha256, sshsig, strings, text_time, trust


def read(path):
    with open(path, "rb") as f:
        return f.read()


# ---- bundle.md, sections 2 and 3: frames and tar ----------------------------------------------------------------------

def frame_size(data, at):
    """Compressed and declared size of the frame at a place; None and None where the file ends inside it."""
    if len(data) - at < 8:
        return None, None
    if data[at:at + 4] == b"\x5e\x2a\x4d\x18":
        end = at + 8 + struct.unpack_from("<I", data, at + 4)[0]
        return (end - at, -1) if end <= len(data) else (None, None)
    need(data[at:at + 4] == b"\x28\xb5\x2f\xfd", "frame without magic at %d" % at)
    flags = data[at + 4]
    need(flags & 0x3F == 0x24, "frame at %d: not a single segment with checksum and without dictionary" % at)
    wide = 1 << (flags >> 6)
    content, p, last = int.from_bytes(data[at + 5:at + 5 + wide], "little") + (256 if wide == 2 else 0), at + 5 + wide, 0
    while not last:
        if len(data) - p < 3:
            return None, None
        block, p = int.from_bytes(data[p:p + 3], "little"), p + 3
        last, kind = block & 1, block >> 1 & 3
        need(kind != 3, "frame at %d: reserved block type" % at)
        p += 1 if kind == 1 else block >> 3
    need(content <= 4 << 20, "frame at %d: more than 4 MiB" % at)
    return (p + 4 - at, content) if p + 4 <= len(data) else (None, None)


@functools.lru_cache(64)
def unzstd(frame, size):
    done = subprocess.run(["zstd", "-dcq", "--memory=8MB"], input=frame, capture_output=True)
    return done.stdout if done.returncode == 0 and len(done.stdout) == size else None


def table(data):
    """[(compressed, decompressed)] of the seek table at the end of data, or None."""
    count = struct.unpack_from("<I", data, len(data) - 9)[0] if data[-5:] == b"\0\xb1\xea\x92\x8f" else -1
    start = len(data) - 17 - 8 * count
    if count < 0 or start < 0 or data[start:start + 8] != b"\x5e\x2a\x4d\x18" + struct.pack("<I", 8 * count + 9):
        return None
    rows = [struct.unpack_from("<II", data, start + 8 + 8 * i) for i in range(count)]
    return rows if sum(r[0] for r in rows) == start and all(r[1] <= 4 << 20 for r in rows) else None


def frames(data, found):
    """The tar, [(from, to)] of what was lost of it, and whether the end is missing."""
    rows, tar, lost, at, walked = table(data), bytearray(), [], 0, []
    while at < len(data):
        row = rows[len(walked)] if rows and len(walked) < len(rows) else None
        try:
            size, content = frame_size(data, at)
            if content == -1 and (rows is not None or at + size < len(data)):
                break
            if row and (size, content) != row and unzstd(data[at:at + (size or 0)], content) is None:
                raise Broken("frame at %d is not the one of the seek table" % at)
        except Broken as e:
            if row is None:
                found.add("ALTERED" if rows is not None else "DAMAGED", str(e))
                break
            found.add("DAMAGED", str(e))
            size, content = row
        if size is None or content == -1:
            break
        plain = unzstd(data[at:at + size], content)
        if plain is None:
            found.add("DAMAGED", "frame at %d cannot be decompressed" % at)
            lost.append((len(tar), len(tar) + content))
        tar += plain if plain is not None else bytes(content)
        walked.append((size, content))
        at += size
    cut = rows is None and data[-4:] != b"\xb1\xea\x92\x8f" and not (data[at:at + 4] == b"\x5e\x2a\x4d\x18" and frame_size(data, at)[0])
    if not cut and (rows != walked or at + 17 + 8 * len(walked) != len(data)):
        size = frame_size(data, at)[0] if data[at:at + 4] == b"\x5e\x2a\x4d\x18" else None
        tail = rows is not None or not size or size == len(data) - at or data[at + size - 4:at + size] != b"\xb1\xea\x92\x8f"
        found.add("DAMAGED" if tail else "ALTERED", "seek table does not fit the frames" if tail else "bytes behind the seek table")
    return bytes(tar), lost, cut


Member = collections.namedtuple("Member", "at data size off ranges mtime")  # size with holes; off and ranges: what is stored


def ustar(name, size, mtime, kind):
    def block(check):
        return (name[:100].ljust(100, b"\0") + b"0000444\0" + b"0000000\0" * 2 + b"%011o\0%011o\0" % (size, mtime) + check +
                kind + bytes(100) + b"ustar\0" + b"00").ljust(512, b"\0")
    return block(b"%06o\0 " % sum(block(b" " * 8)))


def headers(name, size, mtime, realsize):
    """The one spelling of a member's headers."""
    records, plain, (seconds, nanos) = [], name, mtime
    if realsize is not None:
        folder, _, last = name.rpartition(b"/")
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name), (b"GNU.sparse.realsize", b"%d" % realsize)]
        plain = folder + b"/GNUSparseFile.0/" + last
    if nanos or not 0 <= seconds < 2**33:
        whole = seconds * 10**9 + nanos
        fraction = (b".%09d" % (abs(whole) % 10**9)).rstrip(b"0").rstrip(b".")
        records.append((b"mtime", (b"-" if whole < 0 else b"") + b"%d" % (abs(whole) // 10**9) + fraction))
    if len(plain) > 100:
        records.append((b"path", plain))
    if size >= 8 << 30:
        records.append((b"size", b"%d" % size))
    text = b""
    for key, value in records:
        body = b" " + key + b"=" + value + b"\n"
        n = len(body) + len(str(len(body)))
        n = n if len(body) + len(str(n)) == n else n + 1
        text += b"%d" % n + body
    extended = ustar(b"PaxHeaders/" + plain[:100].rstrip(b"/").rpartition(b"/")[2][:80], len(text), 0, b"x") + text + bytes(-len(text) % 512) if text else b""
    return extended + ustar(plain, size if size < 8 << 30 else 0, min(max(seconds, 0), 2**33 - 1), b"0")


def member(tar, at):
    """One member: its name, the Member, and the place of the next one; None where the tar ends inside it."""
    p, fields = at, {}
    head = tar[p:p + 512]
    if head[156:157] == b"x" and len(head) == 512:
        n = int(b"0" + bytes(re.match(b"[0-7]*", head[124:136])[0]), 8)
        need(n <= 8192, "extended header of %d bytes" % n)
        text, p = tar[p + 512:p + 512 + n], p + 512 + n + -n % 512
        while text:
            m = re.match(rb"(\d{1,9}) ([^=]*)=", text)
            need(m and text[int(m[1]) - 1:int(m[1])] == b"\n", "extended header at %d" % at)
            fields[m[2]], text = text[m.end():int(m[1]) - 1], text[int(m[1]):]
        head = tar[p:p + 512]
    if len(head) < 512:
        return None
    octal = re.fullmatch(rb"([0-7]{11})\0([0-7]{11})\0", head[124:148])
    decimal = all(re.fullmatch(rb"\d{1,19}", fields.get(k, b"0")) for k in (b"size", b"GNU.sparse.realsize"))
    when = re.fullmatch(rb"(-?)(\d{1,19})(?:\.(\d{1,9}))?", fields.get(b"mtime", b"0"))
    need(octal and decimal and when, "header at %d" % at)
    size = int(fields[b"size"]) if b"size" in fields else int(octal[1], 8)
    total = int(when[2]) * 10**9 + int((when[3] or b"").ljust(9, b"0")) if b"mtime" in fields else int(octal[2], 8) * 10**9
    mtime = divmod(-total if when[1] else total, 10**9)
    realsize = int(fields[b"GNU.sparse.realsize"]) if b"GNU.sparse.realsize" in fields else None
    name = fields.get(b"GNU.sparse.name", fields.get(b"path", head[:100].rstrip(b"\0")))
    need(tar[at:p + 512] == headers(name, size, mtime, realsize), "header at %d is not in its one spelling" % at)
    off, end = p + 512, p + 512 + size
    if end + -size % 512 > len(tar):
        return None
    need(not any(tar[end:end + -size % 512]), "padding at %d is not zero" % end)
    ranges = [(0, size)]
    if realsize is not None:
        lines = tar[off:min(end, off + 512 * 1024)].split(b"\n", 1 + 2 * 8194)
        need(lines[0].isdigit() and int(lines[0]) <= 8193, "sparse map at %d" % off)
        numbers = [int(n) for n in lines[1:1 + 2 * int(lines[0])] if re.fullmatch(rb"\d{1,19}", n)]
        ranges = list(zip(numbers[::2], numbers[1::2]))
        text = b"".join(b"%d\n" % n for n in [len(ranges)] + numbers)
        text += bytes(-len(text) % 512)
        last = [0] + [o + n for o, n in ranges]
        need(tar[off:off + len(text)] == text and len(ranges) == int(lines[0]) and last[-1] == realsize and
             all(o > e or o == 0 for (o, _), e in zip(ranges, last)) and not any(o % 512 or n % 512 for o, n in ranges[:-1]) and
             len(text) + sum(n for _, n in ranges) == size, "sparse map at %d" % off)
        off, size = off + len(text), realsize
    return name.decode("ascii", "replace"), Member(at, tar[off:end], size, off, ranges, mtime), end + -end % 512


# ---- bundle.md, sections 3 to 10 ---------------------------------------------------------------------------------------

LETTERS = {"exhibit/format": "F", "exhibit/collector.pub": "P", "exhibit/collector.pem": "E", "exhibit/collector-key.sig": "S", "exhibit/README.txt": "R",
           "exhibit/verify.py": "y", "exhibit/verify.sh": "s", "exhibit/header.json": "H", "exhibit/leaves.txt": "L", "exhibit/index/manifest.txt": "i",
           "exhibit/index/members.txt": "j", "exhibit/seal.txt": "T", "exhibit/seal.txt.sig": "G", "exhibit/seal.note": "N", "exhibit/locator": "K",
           "exhibit/collector-cert.pub": "X", "exhibit/order.json": "X", "exhibit/order.json.sig": "X", "exhibit/recovery.json": "Z", "exhibit/recovery.note": "O"}
ORDER = r"FX*PX*EX*S?X*RX*yX*sX*H(?:[fb]*MC)+(?:[fb]*M?|L(?:i(?:j(?:T(?:G(?:NK?)?)?)?)?)?|[fb]*M?ZLij(?:TGN|O)K)"


def letter(name):
    kinds = ("M", r"exhibit/manifest/\d{6,}\.jsonl"), ("C", r"exhibit/checkpoint/\d{6,}\.note"), ("b", r"exhibit/blocks/\d+\.sha256"), ("f", "files/.+")
    return LETTERS.get(name) or next((k for k, pattern in kinds if re.fullmatch(pattern, name)), "?")


def root(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + root(leaves[:k]) + root(leaves[k:]))


def inert(name):
    need(len(name) <= 1024 and re.fullmatch(r"files(/[A-Za-z0-9._\-+=@,%~]+){2,}", name), "name is not inert: %a" % name)
    need(not any(c.startswith("-") or c.endswith(".") or len(c) > 220 for c in name.split("/")), "name is not inert: %a" % name)


def record(line, index):
    need(line.endswith(b"\n") and len(line) <= 1 << 20, "record %d: no line" % index)
    value = parse(line)
    need(isinstance(value, dict) and value.get("i") == index, "record %d: index" % index)
    need(re.fullmatch("[0-9a-f]{32}", value.get("salt", "")), "record %d: salt" % index)
    return value


def digests(item, parts):
    """The SHA-256 a content line must state for the members of its content, and those of its blocks."""
    stored, whole = item.get("sums") == "stored", bytearray()
    for part in parts:
        end, at = 0, 0
        for off, length in part.ranges:
            whole += (b"" if stored else bytes(off - end)) + part.data[at:at + length]
            end, at = off + length, at + length
    return sha256(whole).hex(), [sha256(whole[i:i + (4 << 20)]) for i in range(0, len(whole), 4 << 20)]


def content(item, meta, members, started):
    """Everything section 4 says of a record with content; the names of its members."""
    name, holes = meta["member"], item.get("holes", [])
    inert(name)
    names = ["%s.seg%05d" % (name, n) for n in range(item["segs"])] if "segs" in item else [name]
    need(all(n in members for n in names), "no member " + name)
    parts = [members[n] for n in names]
    need([[p.off, p.size] for p in parts] == meta["segs"] if "segs" in item else parts[0].off == meta["off"], "place of " + name)
    want = text_time(meta["stat"]["mtime"]) if "mtime" in meta.get("stat", {}) else (started, 0)
    need(all(p.mtime == want for p in parts), "mtime of " + name)
    gaps, end = [], 0
    for off, length in parts[0].ranges:
        gaps, end = gaps + ([[end, off - end]] if off > end else []), off + length
    need(len(parts) == 1 and gaps == holes if holes else all(p.ranges == [(0, p.size)] for p in parts), "holes of " + name)
    need(sum(p.size for p in parts) == item["size"] and sum(n for p in parts for _, n in p.ranges) == item["stored"], "size of " + name)
    need((sum(n for _, n in holes) > 1 << 30) == (item.get("sums") == "stored"), "sums of " + name)
    total, blocks = digests(item, parts)
    need(total == item["sha256"], "hash of " + name)
    if "blk" in item:
        listed = members.get("exhibit/blocks/%d.sha256" % item["i"])
        need(listed and listed.data == b"".join(b.hex().encode() + b"\n" for b in blocks), "blocks of " + name)
        need(item["blk"] == {"size": 4 << 20, "root": root([sha256(b"\0" + b) for b in blocks]).hex()}, "block root of " + name)
    return names + (["exhibit/blocks/%d.sha256" % item["i"]] if "blk" in item else [])


def note(data, body, key):
    """Data is body and one signature line by the run's key."""
    origin = body.split(b"\n")[0]
    m = re.fullmatch(re.escape(body) + "\n— ".encode() + re.escape(origin) + rb" ([A-Za-z0-9+/=]+)\n", data)
    need(m, "note in another spelling")
    raw = b64(m[1])
    need(raw[:4] == sha256(origin + b"\n\1" + key)[:4] and ed25519(key, body, raw[4:]), "signature of a note does not hold")


def walk(tar, lost, cut, found):
    members, at = {}, 0
    while True:
        hit = next((r for r in lost if r[0] < at + 512 and r[1] > at), None)
        try:
            if not hit and not any(tar[at:at + 1024]) and len(tar) - at >= 1024:
                if at + 1024 != len(tar) and not lost:
                    found.add("ALTERED", "something follows the end of the tar")
                return members
            got = None if hit else member(tar, at)
        except Broken as e:
            hit = next((r for r in lost if r[0] < at + 2048 and r[1] > at), None)
            if not hit:
                found.add("ALTERED", str(e))
                return members
        if hit:  # where a header was lost, go on at the next block that is one
            at = next((p for p in range(max(at, hit[1] + -hit[1] % 512), len(tar), 512) if tar[p + 257:p + 265] == b"ustar\x0000"), len(tar))
            continue
        if got is None:
            if not cut and at < len(tar) or not cut and not lost:
                found.add("ALTERED", "the tar ends inside a member or without its end")
            return members
        if got[0] in members:
            found.add("ALTERED", "member twice: %a" % got[0])
        members.setdefault(got[0], got[1])
        if got[0].startswith("exhibit/lost/"):  # a recovered bundle: section 11
            lost.append((at, got[2]))
        at = got[2]


def bundle(data, entries, now):
    found = Findings()
    tar, lost, cut = frames(data, found)
    touched = lambda m: any(a < m.off + sum(n for _, n in m.ranges) and b > m.at for a, b in lost)
    members = walk(tar, lost, cut, found)
    names = list(members)
    if any(n.startswith(("exhibit/erased/", "exhibit/erasure/")) for n in names):
        found.add("NEWER", "items were erased: disclosure.md, section 10, is not known here")
        return found
    whole = tar[:512] == ustar(b"exhibit/format", 17, int(tar[136:147] or b"0", 8) if tar[136:147].isdigit() else 0, b"0") and tar[512:529] == b"exhibit-bundle 1\n"
    text = lambda name: members[name].data if name in members else b""
    try:
        need(whole, "no exhibit/format of version 1 at the beginning")
        head = parse(text("exhibit/header.json").split(b"\n")[0])["header"]
        (_, key), _ = strings(b64(head["key"].split(" ")[1].encode()), 2)
        started = text_time(head["started"])[0]
        origin = b"exhibit.bundle.v1/" + head["bundle"].encode()
    except (Broken, KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        if lost:
            found.add("DAMAGED", "the header is lost")
        elif whole and not cut:
            found.add("ALTERED", "header: %s" % e)
        if found.verdict() == "VERIFIED" or not whole and not lost:
            found.add("UNREADABLE", "nothing is proven: %s" % e)
        return found

    def layout():
        kinds = "".join(map(letter, names))
        need(re.fullmatch(ORDER, kinds) and (cut or kinds[-1] == "K"), "members are missing, unknown or in another order: " + kinds)
        for k in "MC":
            need([int(n[-12:].split("/")[-1].split(".")[0]) for n in names if letter(n) == k] == list(range(kinds.count(k))), "batches are not numbered in order")
    if not lost:
        found.check(layout)

    def beginning():
        before = names[:names.index("exhibit/header.json")]
        need(head["members"] == {n: sha256(text(n)).hex() for n in before}, "a member before the header is not the one it lists")
        first = text("exhibit/manifest/000000.jsonl").splitlines(True)
        need(text("exhibit/header.json") == b"".join(first[:2]), "header.json is not leaf 0")
        need(text("exhibit/collector.pub").decode() == head["key"] + "\n", "key of the header and collector.pub differ")
        need(text("exhibit/collector.pem") == pem(key), "collector.pem is not collector.pub")
        need(all(members[n].mtime == (started, 0) for n in names if not n.startswith("files/")), "time of a member")
        need((head["grade"] == "A") == ("exhibit/collector-key.sig" in names), "grade and binding differ")
        return sshsig(text("exhibit/collector-key.sig"), text("exhibit/collector.pub"), "exhibit-custody") if head["grade"] == "A" else None
    examiner = found.check(beginning)

    def recovery():
        said = parse(text("exhibit/recovery.json"))
        lost.extend((off, off + n) for off, n in said["lost"] or [])
    if "exhibit/recovery.json" in members:
        found.check(recovery)
        cut = True  # such a bundle is a prefix at best

    leaves, used, items, proven, rows, last = {}, set(), [], 0, [], b""
    listed = [bytes.fromhex(h.decode()) for h in re.findall(rb"([0-9a-f]{64})\n", text("exhibit/leaves.txt"))]
    if lost and text("exhibit/seal.txt").startswith(b"%s\n%d\n%s\n" % (origin, len(listed), base64.b64encode(root(listed)))):
        leaves = dict(enumerate(listed))
    count = 0
    for name in names:
        m = members[name]
        if letter(name) == "M":
            lines, at = m.data.splitlines(True) if not touched(m) else [], m.off
            if lines:
                count = (found.check(parse, lines[0]) or {}).get("i", count) if lost else count
                rows.append((count, len(lines) // 2, at, len(m.data), int(name[17:-6])))
            if len(lines) % 2:
                found.add("ALTERED", name + " ends between two lines")
            for first, second in zip(lines[::2], lines[1::2]):
                item, meta = found.check(record, first, count), found.check(record, second, count)
                leaf = sha256(b"\0%s\n%s\n" % (sha256(first).hex().encode(), sha256(second).hex().encode()))
                if leaves.setdefault(count, leaf) != leaf:
                    found.add("ALTERED", "record %d is not the one of leaves.txt" % count)
                if item is None or meta is None:
                    found.add("ALTERED", "record %d" % count)
                items.append((item or {}, meta or {}, name))
                count += 1
        if letter(name) == "C" and not touched(m):
            size = int((re.match(rb"[^\n]*\n(\d{1,9})\n", text(name)) or [0, -1])[1])
            known = [leaves.get(n) for n in range(max(size, 0))]
            if lost and not all(known):
                continue
            last = b"%s\n%d\n%s\n" % (origin, size, base64.b64encode(root(known))) if all(known) else b""
            if size < 1 or not lost and size != count or found.check(lambda: note(m.data, last, key) or True) is None:
                found.add("ALTERED", name + " is not that of the tree at its place")
            else:
                proven = size
    def tail():
        seal = text("exhibit/seal.txt")
        need(seal == last and proven == count, "seal.txt is not the body of the last checkpoint")
        need(sshsig(text("exhibit/seal.txt.sig"), seal, "exhibit-seal", (64,)) == strings(b64(head["key"].split(" ")[1].encode()), 0)[1], "seal by another key")
        note(text("exhibit/seal.note"), seal, key)

    if not proven and cut and not lost and found.verdict() == "VERIFIED":
        found.add("UNREADABLE", "no checkpoint is proven")
        return found

    if lost and leaves and len(leaves) == len(listed) and text("exhibit/seal.txt"):
        last, proven = text("exhibit/seal.txt"), len(listed)
        count = proven
        if "exhibit/seal.txt.sig" in members and "exhibit/seal.note" in members:
            found.check(tail)
    items = items if not cut else [x for x in items if x[0].get("i", -1) < proven]
    for item, meta, _ in items:
        i, kind = item.get("i"), item.get("k")
        if (kind == "header") != (i == 0) or not cut and (not lost or last == text("exhibit/seal.txt")) and (kind == "trailer") != (i == count - 1):
            found.add("ALTERED", "record %s is out of place: %s" % (i, kind))
        if "member" not in meta:
            if "sha256" in item or "size" in item:
                found.add("ALTERED", "record %s has content but no member" % i)
            continue
        hit = [(a, b) for a, b in lost for off, n in ([[meta["off"], item["stored"]]] if "off" in meta else meta["segs"]) if a < off + n and b > off - 2560]
        if not hit:
            used.update(found.check(content, item, meta, members, started) or [])
    loose = [n for n in names if letter(n) in "fb" and n not in used and not touched(members[n])]
    end = max([members[n].at for n in names if letter(n) == "C"], default=0)
    if not lost and any(not cut or members[n].at < end and not re.search(r"\.seg\d{5}$", n) for n in loose):
        found.add("ALTERED", "members without record: %a" % loose)
    folded = [n.lower() for n in names]
    if len(set(folded)) < len(folded) or any("/".join(n.split("/")[:i]) in set(folded) for n in folded for i in range(1, n.count("/") + 1)):
        found.add("ALTERED", "names of members meet")

    def indexes():
        need(text("exhibit/leaves.txt") == b"".join(leaves[n].hex().encode() + b"\n" for n in range(count)), "leaves.txt differs from the leaves")
        at = {r[2]: r for r in rows}
        index, next_leaf = [[int(n) for n in line.split(b" ")] for line in text("exhibit/index/manifest.txt").splitlines()], 0
        for leaf, number, offset, size, batch in index:
            first, total, start, length, this = next(r for r in rows if r[4] == batch)
            lines = tar[offset:offset + size]
            need(leaf == next_leaf and start <= offset and offset + size <= start + length and lines.count(b"\n") == 2 * number and lines.endswith(b"\n") and
                 parse(lines.split(b"\n")[0])["i"] == leaf, "index/manifest.txt leads astray")
            next_leaf += number
        need(next_leaf == count and b"".join(b"%d %d %d %d %d\n" % tuple(r) for r in index) == text("exhibit/index/manifest.txt"), "index/manifest.txt")
        keys = sorted("%s %06x\n" % (sha256(meta["member"].lower().encode()).hex()[:10], item["i"]) for item, meta, _ in items if "member" in meta)
        need("".join(keys).encode() == text("exhibit/index/members.txt") and len({k[:10] for k in keys}) == len(keys), "index/members.txt leads astray")
        places = zip(("leaves", "manifest-index", "member-index", "seal"), ("leaves.txt", "index/manifest.txt", "index/members.txt", "seal.txt"))
        want = "exhibit-locator 1\n" + "".join("%s %d %d\n" % (w, members["exhibit/" + n].off, members["exhibit/" + n].size) for w, n in places)
        need(text("exhibit/locator").decode() == want and members["exhibit/locator"].at == len(tar) - 2048, "locator leads astray")

    for name in ("seal.txt", "seal.txt.sig", "seal.note", "leaves.txt", "index/manifest.txt", "index/members.txt", "locator"):
        if lost and ("exhibit/" + name not in members or touched(members["exhibit/" + name])):
            found.add("DAMAGED", name + " is lost")
    if not lost and (not cut or "exhibit/seal.txt" in members):
        for part in [tail] if cut else [tail, indexes]:
            found.check(part)
    if lost:
        found.add("DAMAGED", "lost of the tar: %s; proven: %d records" % (lost, proven))
    if cut:
        found.add("VERIFIED-PREFIX", "the end is missing; %d records are proven" % proven)
    ended = next((text_time(item["trailer"]["finished"])[0] for item, _, _ in items if "trailer" in item), started)
    keys = [b64(head["key"].split(" ")[1].encode())] + ([examiner] if examiner else [])
    verdicts = [trust(entries, k, None, ["exhibit-custody", "exhibit-seal"], ended, now) for k in keys]
    found.add(min(verdicts, key=GRAVITY.index), "the signer")
    return found
