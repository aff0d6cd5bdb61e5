# Check an unpacked bundle: python3 exhibit/verify.py [folder]   Needs Python 3.6 or later, nothing else.
import base64, glob, hashlib, json, os, sys
os.chdir(sys.argv[1] if len(sys.argv) > 1 else ".")
H, bad, leaves, last = lambda b: hashlib.sha256(b), [], [], len(glob.glob("exhibit/manifest/*.jsonl"))
def root(h):
    k = 1 << max(len(h) - 1, 1).bit_length() - 1
    return h[0] if len(h) == 1 else H(b"\1" + root(h[:k]) + root(h[k:])).digest()
for batch in range(last):
    lines = open("exhibit/manifest/%06d.jsonl" % batch, "rb").read().splitlines(True)
    for content, meta in zip(lines[::2], lines[1::2]):
        leaves.append(H(("\0%s\n%s\n" % (H(content).hexdigest(), H(meta).hexdigest())).encode()).digest())
        item, name, digest = json.loads(content), json.loads(meta).get("member"), hashlib.sha256()
        parts = ["%s.seg%05d" % (name, n) for n in range(item["segs"])] if "segs" in item else [name] if name else []
        gaps = item["holes"] if item.get("sums") == "stored" else []
        for part in parts:
            with open(part, "rb") if os.path.exists(part) else open(os.devnull, "rb") as f:
                for start, stop in zip([0] + [o + n for o, n in gaps], [o for o, n in gaps] + [1 << 62]):
                    f.seek(start)
                    for block in iter(lambda: f.read(min(1 << 20, stop - f.tell())), b""): digest.update(block)
        if name and digest.hexdigest() != item["sha256"]: bad.append("CHANGED OR MISSING: " + name)
seal = "exhibit/seal.txt" if os.path.exists("exhibit/seal.txt") else "exhibit/checkpoint/%06d.note" % (last - 1)
origin, size, want = open(seal, encoding="utf-8").read().split("\n")[:3]
if int(size) != len(leaves) or base64.b64decode(want) != root(leaves): bad.append("ROOT DIFFERS from " + seal)
print("\n".join(bad) or "%d records, contents and root agree with %s. Now check its signature: see exhibit/README.txt" % (len(leaves), seal))
sys.exit(4 if bad else 0)
