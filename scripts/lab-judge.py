#!/usr/bin/python3
"""lab-judge.py SCENARIO BUNDLE [TRUTH]: is every trace that the ground truth of a laboratory
scenario names inside of a bundle that was collected live on its host?

SCENARIO is the scenario's folder, with its data; check-truth.py stands beside it. BUNDLE is what
the collector made on the host, TRUTH the truth.jsonl of that run, which names the malicious
processes that were alive (default: that of the scenario). Reads the bundle with zstd and
the standard library alone, and has the laboratory's own check-truth.py look for the traces.
Exit status 1 when something is missing. What the laboratory recorded outside of the host (its
capture of the network) is not asked for.
"""
import datetime, hashlib, io, json, os, subprocess, sys, tarfile, tempfile

scenario, bundle = (os.path.abspath(p) for p in sys.argv[1:3])
truth = f"{scenario}/data/truth.jsonl"
live = sys.argv[3] if len(sys.argv) > 3 else truth
stream = subprocess.run(["zstd", "-dcq", bundle], stdout=subprocess.PIPE, check=True).stdout
tar = tarfile.open(fileobj=io.BytesIO(stream))
members = {m.name: m for m in tar}


def content(name):
    return tar.extractfile(members[name]).read()


def seconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    t = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return t + float("0." + (fraction or "0"))


# The host's files, by path: those with content, and every name of the walk.
files, sets = {}, {}
for name in sorted(m for m in members if m.startswith("exhibit/manifest/")):
    for line in content(name).splitlines():
        r = json.loads(line)
        if r.get("member") in members and r.get("path", "").startswith("/"):
            s = r.get("stat", {})
            files.setdefault(r["path"].lstrip("/"), (r["member"], seconds(s["mtime"]) if "mtime" in s else 0, seconds(s["ctime"]) if "ctime" in s else 0))
for name in members:
    if name.endswith(".jsonl") and not name.startswith("exhibit/"):
        sets[name.split("/", 2)[2]] = name


def rows(record_set):
    return [json.loads(line) for line in content(sets[record_set]).splitlines()] if record_set in sets else []


walk = {r["path"].lstrip("/"): r for r in rows("filesystem/walk.jsonl") if r.get("path", "/") != "/"}

# check-truth.py reads the host's trees from an archive.
data = tempfile.mkdtemp()
with tarfile.open(f"{data}/trees.tar", "w", format=tarfile.PAX_FORMAT) as out:
    for path in sorted(set(walk) | set(files)):
        info = tarfile.TarInfo(path)
        member, mtime, ctime = files.get(path, (None, 0, 0))
        if path in walk:
            mtime, ctime = mtime or walk[path].get("mtime", 0) / 1e9, ctime or walk[path].get("ctime", 0) / 1e9
        info.mtime, info.pax_headers = mtime, {"ctime": str(ctime)}
        body = content(member) if member else b""
        info.size = len(body)
        out.addfile(info, io.BytesIO(body))
subprocess.run(["zstd", "-q", "--rm", f"{data}/trees.tar"], check=True)
with open(truth) as all_lines, open(f"{data}/truth.jsonl", "w") as out:
    for line in all_lines:
        entry = json.loads(line)
        if "expect" in entry:
            entry["expect"] = [e for e in entry["expect"] if e["artifact"] not in ("pcap", "live")]
        out.write(json.dumps(entry) + "\n")
check = subprocess.run([sys.executable, f"{os.path.dirname(scenario)}/check-truth.py", data])

# The malicious processes that were alive, what their executables held, and their sockets.
processes, sockets = rows("live/processes.jsonl"), rows("live/sockets.jsonl")
missing = check.returncode
contents = {hashlib.sha256(content(name)).hexdigest() for name, m in members.items() if m.isfile()}
print("\n| live process | as a process | executable's content | socket |\n|---|---|---|---|")
for entry in map(json.loads, open(live)):
    if entry["type"] != "live":
        continue
    exe = entry["exe"].removesuffix(" (deleted)")
    same = [p for p in processes if p["pid"] == entry["pid"] and p.get("exe", "").removesuffix(" (deleted)") == exe]
    hashes = {p["exe_sha256"] for p in same if p.get("exe_sha256")}
    held = "whole" if hashes & contents else "its SHA-256" if hashes else "**no**"
    owned = [s for s in sockets if s.get("pid") == entry["pid"]] if entry["sockets"] else ["none expected"]
    missing += not (same and hashes and owned) or entry["exe"].endswith("(deleted)") and held != "whole"
    print(f"| {entry['exe']} | {'yes' if same else '**no**'} | {held} | {len(owned)} for {len(entry['sockets'])} |")
sys.exit(1 if missing else 0)
